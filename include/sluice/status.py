"""How a pipeline stands: backlog, partitions, jobs, endpoint; each read from where it lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sluice.lake import raw_dataset
from sluice.landing.queue import backlog
from sluice.partitions import format_ranges
from sluice.serving.endpoint import Endpoint, find_endpoint
from sluice.serving.records import DeploymentRecord, deployment_records
from sluice.training.jobs import Job, list_jobs
from sluice.workspace import Workspace


@dataclass(frozen=True)
class QueueStatus:
    """Messages on a source's queue (waiting, in flight or delayed) and on its dead-letter queue."""

    source: str
    backlog: int
    dead_letters: int


@dataclass(frozen=True)
class DatasetStatus:
    """The partitions of one dataset by state, as ranges, and its rows over all of them."""

    name: str
    open: str
    closed: str
    parts: int
    rows_out: int
    duplicates: int
    rejected: Mapping[str, int]


@dataclass(frozen=True)
class PipelineStatus:
    """Newest job first; ``deployment`` is the last one that was proven."""

    queues: tuple[QueueStatus, ...]
    datasets: tuple[DatasetStatus, ...]
    jobs: tuple[Job, ...]
    endpoint: Endpoint | None
    deployment: DeploymentRecord | None


def pipeline_status(workspace: Workspace) -> PipelineStatus:
    """Look at everything that the pipeline has. Nothing is changed, and no message is received."""
    pipeline, resources = workspace.pipeline, workspace.resources
    sqs, sagemaker = workspace.aws.client("sqs"), workspace.aws.client("sagemaker")
    names = [raw_dataset(source.name) for source in pipeline.sources] + [step.name for step in pipeline.steps]
    records = deployment_records(workspace.lake)
    return PipelineStatus(
        queues=tuple(
            QueueStatus(
                source.name,
                backlog(sqs, resources.queue(source.name)),
                backlog(sqs, resources.dead_letter_queues[source.name]),
            )
            for source in pipeline.queues
        ),
        datasets=tuple(dataset_status(workspace, name) for name in names),
        jobs=tuple(list_jobs(sagemaker, pipeline)),
        endpoint=find_endpoint(sagemaker, pipeline.deployment.endpoint),
        deployment=records[-1] if records else None,
    )


def dataset_status(workspace: Workspace, name: str) -> DatasetStatus:
    """The state of one dataset, from its manifests."""
    manifests = workspace.lake.manifests(name)
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
