"""How a pipeline stands: backlog, partitions, jobs, endpoint; each read from where it lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sluice.declaration.sources import Source
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import format_ranges
from sluice.serving.endpoint import Endpoint, find_endpoint
from sluice.serving.records import DeploymentRecord, last_proven
from sluice.sources.contract import Figures, connect_events
from sluice.sources.coverage import not_conformed, outside
from sluice.training.jobs import Job, list_jobs
from sluice.workspace import Workspace


@dataclass(frozen=True)
class SourceStatus:
    """How a source of events stands, by the figures that its kind has."""

    source: str
    kind: str
    figures: Figures


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
    """Newest job first; ``deployment`` is the endpoint's last one that was proven.

    ``jobs`` is None where the pipeline ends at its lake; ``served`` is whether it declares a deployment.
    """

    sources: tuple[SourceStatus, ...]
    datasets: tuple[DatasetStatus, ...]
    jobs: tuple[Job, ...] | None
    endpoint: Endpoint | None
    deployment: DeploymentRecord | None
    served: bool = True


def pipeline_status(workspace: Workspace) -> PipelineStatus:
    """Look at everything that the pipeline has. Nothing is changed, and no message is received."""
    pipeline = workspace.pipeline
    sagemaker = workspace.aws.client("sagemaker")
    served = pipeline.deployment
    return PipelineStatus(
        sources=tuple(
            SourceStatus(source.name, source.kind, connect_events(workspace, source).figures())
            for source in pipeline.event_sources
        ),
        datasets=(
            *(source_status(workspace, source) for source in pipeline.sources),
            *(dataset_status(workspace, step.name) for step in pipeline.steps),
        ),
        jobs=tuple(list_jobs(sagemaker, pipeline)) if pipeline.training else None,
        endpoint=find_endpoint(sagemaker, served.endpoint) if served else None,
        deployment=last_proven(workspace.lake, served.endpoint) if served else None,
        served=served is not None,
    )


def source_status(workspace: Workspace, source: Source) -> DatasetStatus:
    """The state of a source's raw dataset, and what of it no run covers."""
    manifests = workspace.lake.manifests(raw_dataset(source.name))
    return replace(
        _dataset_status(raw_dataset(source.name), manifests),
        outside=format_ranges(outside(workspace, source)),
        not_conformed=not_conformed(workspace.lake, workspace.pipeline, source, manifests),
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
