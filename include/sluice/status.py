"""How a pipeline stands: backlog, partitions, jobs, endpoint; each read from where it lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sluice.declaration.sources import EventSource, Queue, Source, Stream
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import format_ranges
from sluice.serving.endpoint import Endpoint, find_endpoint
from sluice.serving.records import DeploymentRecord, last_proven
from sluice.sources.coverage import not_conformed, outside
from sluice.sources.queue.drain import backlog
from sluice.sources.queue.messages import queue_attributes
from sluice.sources.stream.checkpoints import read_checkpoints
from sluice.training.jobs import Job, list_jobs
from sluice.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class QueueStatus:
    """SQS's own approximate counts of a source's queue. ``dead_letters`` is None where it has no dead-letter queue.

    SQS tells the age of the oldest message to CloudWatch alone (``ApproximateAgeOfOldestMessage``); what has landed
    tells it as a metric of each flush.
    """

    source: str
    waiting: int
    in_flight: int
    delayed: int
    dead_letters: int | None


@dataclass(frozen=True)
class StreamStatus:
    """How far a stream is landed, by its checkpoints: shards that are read, and shards that are read to their end.

    All that arrived before ``read_until`` (UTC) is durable, ``lag_seconds`` ago; None before the first window. ``gaps``
    is how often the stream's retention was faster than its reader.
    """

    source: str
    reading: int
    ended: int
    read_until: datetime | None
    lag_seconds: float | None
    gaps: int


@dataclass(frozen=True)
class DatasetStatus:
    """The partitions of one dataset by state, as ranges, and its rows over all of them.

    Of a source, ``outside`` are the partitions before the pipeline's start or after its end that hold something of it.
    Of a queue or stream, ``not_conformed`` is how many of its raw records no conform step has read yet.
    """

    name: str
    open: str
    closed: str
    parts: int
    rows_out: int
    duplicates: int
    rejected: Mapping[str, int]
    outside: str = ""
    not_conformed: int = 0


@dataclass(frozen=True)
class PipelineStatus:
    """Newest job first; ``deployment`` is the endpoint's last one that was proven."""

    queues: tuple[QueueStatus, ...]
    streams: tuple[StreamStatus, ...]
    datasets: tuple[DatasetStatus, ...]
    jobs: tuple[Job, ...]
    endpoint: Endpoint | None
    deployment: DeploymentRecord | None


def pipeline_status(workspace: Workspace) -> PipelineStatus:
    """Look at everything that the pipeline has. Nothing is changed, and no message is received."""
    pipeline = workspace.pipeline
    sqs, sagemaker = workspace.aws.client("sqs"), workspace.aws.client("sagemaker")
    return PipelineStatus(
        queues=tuple(queue_status(sqs, workspace, source) for source in pipeline.queues),
        streams=tuple(stream_status(workspace, source) for source in pipeline.streams),
        datasets=(
            *(source_status(workspace, source) for source in pipeline.sources),
            *(dataset_status(workspace, step.name) for step in pipeline.steps),
        ),
        jobs=tuple(list_jobs(sagemaker, pipeline)),
        endpoint=find_endpoint(sagemaker, pipeline.deployment.endpoint),
        deployment=last_proven(workspace.lake, pipeline.deployment.endpoint),
    )


def queue_status(sqs: SQSClient, workspace: Workspace, source: Queue) -> QueueStatus:
    """What SQS counts on a source's queue. Raises MissingResource if there is none."""
    counted = queue_attributes(sqs, workspace.resources.queue(source.name))
    dead = workspace.resources.dead_letter_queues.get(source.name)
    return QueueStatus(
        source=source.name,
        waiting=int(counted["ApproximateNumberOfMessages"]),
        in_flight=int(counted["ApproximateNumberOfMessagesNotVisible"]),
        delayed=int(counted["ApproximateNumberOfMessagesDelayed"]),
        dead_letters=None if dead is None else backlog(sqs, dead),
    )


def stream_status(workspace: Workspace, source: Stream) -> StreamStatus:
    """How far a stream is landed."""
    checkpoints = read_checkpoints(workspace.lake, source.name).values()
    read = [each.read_until for each in checkpoints if not each.ended and each.read_until is not None]
    read_until = min(read, default=None)
    return StreamStatus(
        source=source.name,
        reading=sum(not each.ended for each in checkpoints),
        ended=sum(each.ended for each in checkpoints),
        read_until=read_until,
        lag_seconds=None if read_until is None else (workspace.lake.now() - read_until).total_seconds(),
        gaps=sum(len(each.gaps) for each in checkpoints),
    )


def source_status(workspace: Workspace, source: Source) -> DatasetStatus:
    """The state of a source's raw dataset, and what of it no run covers."""
    lake, pipeline = workspace.lake, workspace.pipeline
    manifests = lake.manifests(raw_dataset(source.name))
    return replace(
        _dataset_status(raw_dataset(source.name), manifests),
        outside=format_ranges(outside(lake, pipeline, source)),
        not_conformed=not_conformed(lake, pipeline, source, manifests) if isinstance(source, EventSource) else 0,
    )


def dataset_status(workspace: Workspace, name: str) -> DatasetStatus:
    """The state of one dataset, from its manifests."""
    return _dataset_status(name, workspace.lake.manifests(name))


def _dataset_status(name: str, manifests: Sequence[Manifest]) -> DatasetStatus:
    rejected = sum((Counter(manifest.rejected) for manifest in manifests), Counter[str]())
    return DatasetStatus(
        name=name,
        open=format_ranges(manifest.time_partition for manifest in manifests if manifest.state == "open"),
        closed=format_ranges(manifest.time_partition for manifest in manifests if manifest.state == "closed"),
        parts=sum(len(manifest.files) for manifest in manifests),
        rows_out=sum(manifest.rows_out for manifest in manifests),
        duplicates=sum(manifest.duplicates for manifest in manifests),
        rejected=dict(sorted(rejected.items())),
    )
