"""The keys of all objects of a pipeline in its bucket. No key is made anywhere else.

::

    s3://BUCKET/PIPELINE/raw/SOURCE/dt=…/part-<first sequence number>-<digest>.parquet
    s3://BUCKET/PIPELINE/STEP/dt=…/rev=<digest>/part-0.parquet
    s3://BUCKET/PIPELINE/{raw/SOURCE,STEP}/dt=…/_manifest.json
    s3://BUCKET/PIPELINE/quarantine/STEP/dt=…/rev=<digest>/part-0.parquet
    s3://BUCKET/PIPELINE/checkpoints/SOURCE/<shard id>.json
    s3://BUCKET/PIPELINE/redriven/SOURCE/<digest of a message id>/{1-intended,1-refused,…,sent}
    s3://BUCKET/PIPELINE/announced/STAGE/<subject>/<digest of the content>
    s3://BUCKET/PIPELINE/started/<month>.json
    s3://BUCKET/PIPELINE/snapshots/<fingerprint>/{snapshot.json,train/,validation/,test/}
    s3://BUCKET/PIPELINE/models/<job name>/output/model.tar.gz
    s3://BUCKET/PIPELINE/deployments/<n>.json
    s3://BUCKET/PIPELINE/endpoints/<endpoint>.json
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sluice.lake.partitions import Partition


class Folder(StrEnum):
    """The lake's own folders, beside the datasets of a pipeline's steps. No step may have one of these names."""

    ANNOUNCED = "announced"
    CHECKPOINTS = "checkpoints"
    DEPLOYMENTS = "deployments"
    ENDPOINTS = "endpoints"
    MODELS = "models"
    QUARANTINE = "quarantine"
    RAW = "raw"
    REDRIVEN = "redriven"
    SNAPSHOTS = "snapshots"
    STARTED = "started"


MANIFEST = "_manifest.json"


def raw_dataset(source: str) -> str:
    """The dataset that holds a source's raw records."""
    return f"{Folder.RAW}/{source}"


def quarantine_dataset(step: str) -> str:
    """The dataset that holds what a step has rejected."""
    return f"{Folder.QUARANTINE}/{step}"


@dataclass(frozen=True)
class Layout:
    """The keys of one pipeline. A folder is a prefix that ends in a slash."""

    pipeline: str

    # Datasets

    def dataset(self, dataset: str) -> str:
        """The folder of a dataset: ``raw/SOURCE``, ``quarantine/STEP`` or a step's name."""
        return self._key(dataset, "")

    def partition(self, dataset: str, partition: Partition) -> str:
        """The folder of one partition of a dataset."""
        return self._key(dataset, partition.key, "")

    def manifest(self, dataset: str, partition: Partition) -> str:
        return self._key(dataset, partition.key, MANIFEST)

    def raw_part(self, dataset: str, partition: Partition, name: str) -> str:
        """An object of a raw partition; its name holds a digest of its content."""
        return self._key(dataset, partition.key, name)

    def output(self, dataset: str, partition: Partition, digest: str) -> str:
        """The object that a step has written for a partition; ``digest`` is of its bytes."""
        return self._key(dataset, partition.key, f"rev={digest}", "part-0.parquet")

    # Progress

    def checkpoints(self, source: str) -> str:
        """The folder of a stream's checkpoints."""
        return self._key(Folder.CHECKPOINTS, source, "")

    def checkpoint(self, source: str, shard: str) -> str:
        return f"{self.checkpoints(source)}{shard}.json"

    def redriven(self, source: str, message: str = "") -> str:
        """The folder of what was sent back to a source, or of one message of it, by the digest of its id."""
        return self._key(Folder.REDRIVEN, source, *filter(None, [message]), "")

    def announcements(self, stage: str) -> str:
        """The folder of the markers of a stage, which is a dataset or the training."""
        return self._key(Folder.ANNOUNCED, stage, "")

    def announcement(self, stage: str, subject: str, digest: str) -> str:
        return f"{self.announcements(stage)}{subject}/{digest}"

    def started(self, month: str) -> str:
        """The record of the runs that were started for the partitions of a month, such as ``2013-01``."""
        return self._key(Folder.STARTED, f"{month}.json")

    # Models

    def snapshot(self, fingerprint: str) -> str:
        return self._key(Folder.SNAPSHOTS, fingerprint, "snapshot.json")

    def channel(self, fingerprint: str, channel: str) -> str:
        """The folder of a snapshot's training, validation or test rows."""
        return self._key(Folder.SNAPSHOTS, fingerprint, channel, "")

    def models(self) -> str:
        """The prefix under which SageMaker puts a job's artefact, without a slash at its end."""
        return self._key(Folder.MODELS)

    def deployments(self) -> str:
        """The folder of the records of what was proven to be live."""
        return self._key(Folder.DEPLOYMENTS, "")

    def deployment(self, number: int) -> str:
        return f"{self.deployments()}{number:06d}.json"

    def endpoint(self, name: str) -> str:
        """The record of the change that was last requested on an endpoint."""
        return self._key(Folder.ENDPOINTS, f"{name}.json")

    def _key(self, *parts: str) -> str:
        return "/".join((self.pipeline, *parts))
