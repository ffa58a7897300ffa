"""The keys of all objects of a pipeline in its bucket. No other code makes keys.

::

    s3://BUCKET/PIPELINE/division.json
    s3://BUCKET/PIPELINE/raw/SOURCE/dt=…/part-<first sequence number>-<digest>.parquet
    s3://BUCKET/PIPELINE/STEP/dt=…/{rev,state}=<digest>/part-0.parquet
    s3://BUCKET/PIPELINE/{raw/SOURCE,STEP}/dt=…/_manifest.json
    s3://BUCKET/PIPELINE/quarantine/STEP/dt=…/rev=<digest>/part-0.parquet
    s3://BUCKET/PIPELINE/ids/STEP/dt=…/keys-<n>-<digest>.parquet
    s3://BUCKET/PIPELINE/ids/STEP/dt=…/repeats-<partition with the first copies>-<digests>
    s3://BUCKET/PIPELINE/bundles/{raw/SOURCE,STEP}/<year or month>.json
    s3://BUCKET/PIPELINE/checkpoints/SOURCE/<shard id, or partition of drops>.json
    s3://BUCKET/PIPELINE/payloads/SOURCE/<digest of a pointer>
    s3://BUCKET/PIPELINE/closing/SOURCE/{observed,pending,queue}.json
    s3://BUCKET/PIPELINE/redriven/SOURCE/<digest of a message id>/{1-intended,1-refused,…,sent}
    s3://BUCKET/PIPELINE/announced/STAGE/<subject>/<digest of the content>
    s3://BUCKET/PIPELINE/started/<year or month>.json
    s3://BUCKET/PIPELINE/code/<fingerprint>.json
    s3://BUCKET/PIPELINE/computed/STEP/<digest of the work>/<attempt>-{claim,result}.json
    s3://BUCKET/PIPELINE/snapshots/<fingerprint>/{snapshot,profile}.json
    s3://BUCKET/PIPELINE/snapshots/<fingerprint>/{gaps,filled}[-<format>]/{train,validation,test}/part-0.<format>
    s3://BUCKET/PIPELINE/snapshots/<fingerprint>/rows/{validation,test}/part-0.parquet
    s3://BUCKET/PIPELINE/models/<job name>/output/model.tar.gz
    s3://BUCKET/PIPELINE/evaluations/scores/<transform job>/{validation,test}.csv.out
    s3://BUCKET/PIPELINE/evaluations/verdicts/<n>.json
    s3://BUCKET/PIPELINE/evaluations/versions/<training job>.json
    s3://BUCKET/PIPELINE/evaluations/reports/<n>.html
    s3://BUCKET/PIPELINE/batches/<training job>/{rows/<digest>/<partition>-<digest>.csv,answers/<…>.csv.out}
    s3://BUCKET/PIPELINE/deployments/<n>.json
    s3://BUCKET/PIPELINE/endpoints/<endpoint>.json
    s3://BUCKET/PIPELINE/monitoring/<n>.json
    s3://BUCKET/PIPELINE/freshness/STEP/<n>.json
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sluice.lake.partitions import Partition


class Folder(StrEnum):
    """The lake's own folders, beside the datasets of a pipeline's steps. No step may have one of these names."""

    ANNOUNCED = "announced"
    BATCHES = "batches"
    BUNDLES = "bundles"
    CHECKPOINTS = "checkpoints"
    CLOSING = "closing"
    CODE = "code"
    COMPUTED = "computed"
    DEPLOYMENTS = "deployments"
    EVALUATIONS = "evaluations"
    ENDPOINTS = "endpoints"
    FRESHNESS = "freshness"
    IDS = "ids"
    MODELS = "models"
    MONITORING = "monitoring"
    PAYLOADS = "payloads"
    QUARANTINE = "quarantine"
    RAW = "raw"
    REDRIVEN = "redriven"
    SNAPSHOTS = "snapshots"
    STARTED = "started"


MANIFEST = "_manifest.json"
PARTS = "/part-"  # in the key of each object that holds rows, and of no manifest


def raw_dataset(source: str) -> str:
    """Return the dataset that holds a source's raw records."""
    return f"{Folder.RAW}/{source}"


def quarantine_dataset(step: str) -> str:
    """Return the dataset that holds what a step has rejected."""
    return f"{Folder.QUARANTINE}/{step}"


@dataclass(frozen=True)
class Layout:
    """The keys of one pipeline. A folder is a prefix that ends in a slash.

    A ``dataset`` is ``raw/SOURCE``, ``quarantine/STEP`` or the name of a step. A ``stage`` is the subject of completion
    events: a dataset or the training. A ``fingerprint`` is the digest that names a snapshot.
    """

    pipeline: str

    def division(self) -> str:
        """Return the key of the record of how the lake is divided into partitions."""
        return self._key("division.json")

    # Datasets

    def dataset(self, dataset: str) -> str:
        """Return the folder of a dataset."""
        return self._key(dataset, "")

    def partition(self, dataset: str, partition: Partition) -> str:
        """Return the folder of one partition of a dataset.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition.
        """
        return self._key(dataset, partition.key, "")

    def manifest(self, dataset: str, partition: Partition) -> str:
        """Return the key of a partition's manifest.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition.
        """
        return self._key(dataset, partition.key, MANIFEST)

    def bundle(self, dataset: str, period: str) -> str:
        """Return the key of the copies of a dataset's manifests.

        Args:
            dataset: The dataset, such as ``raw/events``.
            period: The year of the partitions, or the month.
        """
        return self._key(Folder.BUNDLES, dataset, f"{period}.json")

    def raw_part(self, dataset: str, partition: Partition, name: str) -> str:
        """Return the key of a part of a raw partition.

        Args:
            dataset: The raw dataset of a source.
            partition: The partition.
            name: The name of the part, which contains a digest of its content.
        """
        return self._key(dataset, partition.key, name)

    def output(self, dataset: str, partition: Partition, digest: str) -> str:
        """Return the key of the object that a step has written for a partition.

        Args:
            dataset: The dataset of the step, or its quarantine.
            partition: The partition.
            digest: The digest of the object's content.
        """
        return self._key(dataset, partition.key, f"rev={digest}", "part-0.parquet")

    def state(self, step: str, partition: Partition, digest: str) -> str:
        """Return the key of the state that a step has after a partition.

        Args:
            step: The name of the step.
            partition: The partition.
            digest: The digest of the object's content.
        """
        return self._key(step, partition.key, f"state={digest}", "part-0.parquet")

    # Ids

    def ids(self, step: str) -> str:
        """Return the folder of the key files of a ``Conform`` step, and of what they have in common."""
        return self._key(Folder.IDS, step, "")

    def key_file(self, step: str, partition: Partition, number: int, digest: str) -> str:
        """Return the key of the key file of a partition.

        Args:
            step: The name of the step.
            partition: The partition.
            number: How many key files the partition has had with this one.
            digest: The digest of its keys.
        """
        return self._key(Folder.IDS, step, partition.key, f"keys-{number:06d}-{digest}.parquet")

    def repeats(self, step: str, partition: Partition, first: Partition, digests: tuple[str, str, str]) -> str:
        """Return the key of the marker which says that ids of a partition repeat those of another one.

        Args:
            step: The name of the step.
            partition: The partition that repeats them.
            first: The partition that has their first copies.
            digests: That of the keys of ``first``, that of the keys of ``partition``, and that of the ids.
        """
        return self._key(Folder.IDS, step, partition.key, "-".join(("repeats", first.label, *digests)))

    # Progress

    def checkpoints(self, source: str) -> str:
        """Return the folder of a stream's checkpoints."""
        return self._key(Folder.CHECKPOINTS, source, "")

    def checkpoint(self, source: str, shard: str) -> str:
        """Return the key of the checkpoint of one shard.

        Args:
            source: The name of the stream's source.
            shard: The id of the shard.
        """
        return f"{self.checkpoints(source)}{shard}.json"

    def look(self, source: str, partition: Partition) -> str:
        """Return the key of what a partition of drops held when it was looked at.

        Args:
            source: The name of the drops.
            partition: The partition.
        """
        return f"{self.checkpoints(source)}{partition.label}.json"

    def payload(self, source: str, digest: str) -> str:
        """Return the key of a payload to which a message of a source has pointed.

        Args:
            source: The name of the source.
            digest: The digest of its bucket and key.
        """
        return self._key(Folder.PAYLOADS, source, digest)

    def observed(self, source: str) -> str:
        """Return the key of the record that says since when a source is observed."""
        return self._key(Folder.CLOSING, source, "observed.json")

    def pending(self, source: str) -> str:
        """Return the key of the list of a source's partitions that are open or not announced."""
        return self._key(Folder.CLOSING, source, "pending.json")

    def queue_progress(self, source: str) -> str:
        """Return the key of the record of how far a queue has landed."""
        return self._key(Folder.CLOSING, source, "queue.json")

    def redriven(self, source: str, message: str = "") -> str:
        """Return the folder of what was sent back to a source.

        Args:
            source: The name of the source.
            message: The digest of a message id; then the folder is that of this message.
        """
        return self._key(Folder.REDRIVEN, source, *filter(None, [message]), "")

    def announcements(self, stage: str) -> str:
        """Return the folder of the markers of a stage's completion events."""
        return self._key(Folder.ANNOUNCED, stage, "")

    def announcement(self, stage: str, subject: str, digest: str) -> str:
        """Return the key of the marker of one completion event.

        Args:
            stage: The dataset or the training that is complete.
            subject: The key of the partition, or the fingerprint of the training.
            digest: The digest of the event's content.
        """
        return f"{self.announcements(stage)}{subject}/{digest}"

    def started(self, period: str) -> str:
        """Return the key of the record of the runs that were started for a period's partitions.

        Args:
            period: The period, as :mod:`sluice.lake.periods` names it.
        """
        return self._key(Folder.STARTED, f"{period}.json")

    def computed(self, step: str, work: str, name: str) -> str:
        """Return the key of a record of work that runs outside of the workers.

        Args:
            step: The name of the step.
            work: The digest of what it has to do.
            name: The name of the record.
        """
        return self._key(Folder.COMPUTED, step, work, name)

    def code(self, fingerprint: str) -> str:
        """Return the key of the record of a step's code.

        Args:
            fingerprint: The fingerprint of the code, as manifests have it.
        """
        return self._key(Folder.CODE, f"{fingerprint}.json")

    def freshness(self, step: str) -> str:
        """Return the folder of the records of which partitions of a step are not fresh."""
        return self._key(Folder.FRESHNESS, step, "")

    # Models

    def snapshot(self, fingerprint: str) -> str:
        """Return the key of a snapshot's description."""
        return self._key(Folder.SNAPSHOTS, fingerprint, "snapshot.json")

    def snapshots(self) -> str:
        """Return the folder of all snapshots, which are folders as well."""
        return self._key(Folder.SNAPSHOTS, "")

    def profile(self, fingerprint: str) -> str:
        """Return the key of the profile of a snapshot's train rows."""
        return self._key(Folder.SNAPSHOTS, fingerprint, "profile.json")

    def channel(self, fingerprint: str, form: str, channel: str) -> str:
        """Return the folder of one channel of a snapshot.

        Args:
            fingerprint: The snapshot.
            form: ``gaps`` or ``filled``: whether missing values are empty fields or filled.
            channel: ``train``, ``validation`` or ``test``.
        """
        return self._key(Folder.SNAPSHOTS, fingerprint, form, channel, "")

    def snapshot_rows(self, fingerprint: str, channel: str) -> str:
        """Return the key of the raw rows of one channel of a snapshot.

        Args:
            fingerprint: The snapshot.
            channel: ``validation`` or ``test``.
        """
        return self._key(Folder.SNAPSHOTS, fingerprint, "rows", channel, "part-0.parquet")

    def models(self) -> str:
        """Return the prefix under which SageMaker puts a job's artefact, without a slash at its end."""
        return self._key(Folder.MODELS)

    def model_checkpoints(self, job: str) -> str:
        """Return the folder of the checkpoints that all attempts of a training job share."""
        return self._key(Folder.MODELS, "checkpoints", job, "")

    def inputs(self, fingerprint: str, digest: str) -> str:
        """Return the folder of rows of a snapshot that a model scores.

        Args:
            fingerprint: The snapshot.
            digest: Names the form in which the model takes rows.
        """
        return self._key(Folder.SNAPSHOTS, fingerprint, "inputs", digest, "")

    def scores(self, job: str) -> str:
        """Return the folder of the answers that a transform job has written."""
        return self._key(Folder.EVALUATIONS, "scores", job, "")

    def scorings(self) -> str:
        """Return the folder of the answers of all transform jobs."""
        return self._key(Folder.EVALUATIONS, "scores", "")

    def verdicts(self) -> str:
        """Return the folder of the verdicts."""
        return self._key(Folder.EVALUATIONS, "verdicts", "")

    def versions(self) -> str:
        """Return the folder of what is registered in the model registry."""
        return self._key(Folder.EVALUATIONS, "versions", "")

    def version(self, job: str) -> str:
        """Return the key of the version that the model of a training job is in the model registry."""
        return f"{self.versions()}{job}.json"

    def report(self, number: int) -> str:
        """Return the key of the report on a verdict.

        Args:
            number: The number of the verdict, from 1.
        """
        return self._key(Folder.EVALUATIONS, "reports", f"{number:06d}.html")

    def batches(self) -> str:
        """Return the folder of what models score in batch, a folder for each model."""
        return self._key(Folder.BATCHES, "")

    def batch_rows(self, job: str, digest: str) -> str:
        """Return the folder of the rows that one transform job reads.

        Args:
            job: The training job of the model that scores them.
            digest: The digest of the names of its files, which stand for their content.
        """
        return self._key(Folder.BATCHES, job, "rows", digest, "")

    def batch_answers(self, job: str) -> str:
        """Return the folder of all answers of a model, a file for each partition and content that it has scored.

        Args:
            job: The training job of the model.
        """
        return self._key(Folder.BATCHES, job, "answers", "")

    def deployments(self) -> str:
        """Return the folder of the deployment records: what was made live."""
        return self._key(Folder.DEPLOYMENTS, "")

    def plans(self) -> str:
        """Return the folder of the records of requested changes, one for each endpoint."""
        return self._key(Folder.ENDPOINTS, "")

    def endpoint(self, name: str) -> str:
        """Return the key of the record of the change that was last requested on an endpoint."""
        return self._key(Folder.ENDPOINTS, f"{name}.json")

    def monitoring(self) -> str:
        """Return the folder of the reports on the live model."""
        return self._key(Folder.MONITORING, "")

    def _key(self, *parts: str) -> str:
        return "/".join((self.pipeline, *parts))
