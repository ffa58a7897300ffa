"""The status of a pipeline: backlog, partitions, jobs and endpoint, each read from the service that has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sluice.dataset.snapshot import Snapshot, read_snapshot
from sluice.declaration.sources import Source
from sluice.lake.division import require_division
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import format_ranges
from sluice.lake.readable import readable_manifests
from sluice.lake.store import Lake
from sluice.lateness import describe_late, late_partitions
from sluice.scoring.due import scored_by
from sluice.serving.champion import newest_record
from sluice.serving.cost import endpoint_price
from sluice.serving.endpoint import Endpoint, find_endpoint
from sluice.serving.records import DeploymentRecord, last_proven
from sluice.sources.connecting import connect_events
from sluice.sources.contract import Figures
from sluice.sources.coverage import not_conformed, outside
from sluice.training.jobs import Job, list_jobs
from sluice.training.prices import price_of
from sluice.workspace import Workspace


@dataclass(frozen=True)
class SourceStatus:
    """The status of a source of events: the figures that its kind has."""

    source: str
    kind: str
    figures: Figures


@dataclass(frozen=True)
class DatasetStatus:
    """The partitions of one dataset by state, as ranges, and the sums of their counts.

    ``rows_out`` is None for a source of drops: they land unread.
    ``late`` is how often late data has changed a source's closed partition, by partition key.
    ``outside`` has those of a source's partitions, as ranges, that are before the pipeline's start or after its end.
    ``control`` counts messages that hold no event.
    ``not_conformed`` is the number of a queue's or stream's raw records that no conform step has read yet.
    """

    name: str
    open: str
    closed: str
    parts: int
    rows_out: int | None
    duplicates: int
    rejected: Mapping[str, int]
    control: int = 0
    outside: str = ""
    not_conformed: int = 0
    late: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoringStatus:
    """The newest partition that was scored in batch, and the training job of the model that has scored it.

    Both are None if none was scored yet. ``live`` is the newest model that was made live; None if there is none.
    """

    dataset: str
    newest: str | None
    scored_by: str | None
    live: DeploymentRecord | None


@dataclass(frozen=True)
class PipelineStatus:
    """The status of all that a pipeline has.

    ``jobs`` has the newest job first; it is None if the pipeline ends at its lake. ``endpoint`` is None if it does not
    exist. ``deployment`` is the endpoint's newest one that was proven, ``snapshot`` what its model was trained on.
    ``served`` is whether the pipeline declares one. ``scoring`` is None if it scores nothing in batch. ``metric`` is
    that of its gate; empty without a training.
    ``job_prices`` is what AWS bills for each of ``jobs``, in USD by name, and ``endpoint_price`` for the deployment's
    endpoint, in USD per hour; None if no price is known. ``late`` says in one line which partitions are late.
    """

    sources: tuple[SourceStatus, ...]
    datasets: tuple[DatasetStatus, ...]
    jobs: tuple[Job, ...] | None
    endpoint: Endpoint | None
    deployment: DeploymentRecord | None
    snapshot: Snapshot | None
    served: bool = True
    scoring: ScoringStatus | None = None
    metric: str = ""
    job_prices: Mapping[str, float | None] = field(default_factory=dict)
    endpoint_price: float | None = None
    late: str = ""


def pipeline_status(workspace: Workspace) -> PipelineStatus:
    """Read the status of everything that the pipeline has. Nothing is changed, and no message is received.

    Raises:
        DeclarationError: the lake is divided otherwise than the pipeline declares.
    """
    require_division(workspace.lake)
    pipeline = workspace.pipeline
    served = pipeline.deployment
    jobs = tuple(list_jobs(workspace)) if pipeline.training else None
    deployment = last_proven(workspace.lake, served.endpoint) if served else None
    return PipelineStatus(
        sources=tuple(
            SourceStatus(source.name, source.kind, connect_events(workspace, source).figures())
            for source in pipeline.event_sources
        ),
        datasets=(
            *(source_status(workspace, source) for source in pipeline.sources),
            *(dataset_status(workspace, step.name) for step in pipeline.steps),
            *([dataset_status(workspace, pipeline.scoring.name)] if pipeline.scoring else ()),
        ),
        jobs=jobs,
        endpoint=find_endpoint(workspace, served.endpoint) if served else None,
        deployment=deployment,
        snapshot=read_snapshot(workspace.lake, deployment.model.snapshot) if deployment else None,
        served=served is not None,
        scoring=_scoring_status(workspace, pipeline.scoring.name) if pipeline.scoring else None,
        metric=pipeline.training.gate.metric if pipeline.training else "",
        job_prices={job.name: price_of(workspace, job.instance_type, job.billable_seconds) for job in jobs or ()},
        endpoint_price=endpoint_price(workspace, deployment.recipe) if deployment and deployment.recipe else None,
        late=describe_late(pipeline, late_partitions(workspace), workspace.lake.now()),
    )


def _scoring_status(workspace: Workspace, dataset: str) -> ScoringStatus:
    lake = workspace.lake
    newest = lake.manifest(dataset, partitions[-1]) if (partitions := lake.partitions(dataset)) else None
    return ScoringStatus(
        dataset=dataset,
        newest=newest.partition if newest else None,
        scored_by=scored_by(newest) if newest else None,
        live=newest_record(workspace),
    )


def source_status(workspace: Workspace, source: Source) -> DatasetStatus:
    """Return the status of a source's raw dataset, without manifests that can't be read: the log names them.

    Args:
        workspace: The workspace of the pipeline that declares the source.
        source: A source of any kind.
    """
    manifests, _ = readable_manifests(Look(workspace.lake), raw_dataset(source.name))
    status = _dataset_status(workspace.lake, raw_dataset(source.name), manifests)
    return replace(
        status,
        rows_out=status.rows_out if source in workspace.pipeline.event_sources else None,
        outside=format_ranges(outside(workspace, source)),
        not_conformed=not_conformed(workspace.lake, workspace.pipeline, source, manifests),
        late={each.partition: each.revision - 1 for each in manifests if each.revision > 1},
    )


def dataset_status(workspace: Workspace, name: str) -> DatasetStatus:
    """Return the status of the dataset of a step, or of the scores, as :func:`source_status` does.

    Args:
        workspace: The workspace of the pipeline that declares it.
        name: The name of the dataset.
    """
    manifests, _ = readable_manifests(Look(workspace.lake), name)
    return _dataset_status(workspace.lake, name, manifests)


def _dataset_status(lake: Lake, name: str, manifests: Sequence[Manifest]) -> DatasetStatus:
    def ranges(state: str) -> str:
        return format_ranges(each.time_partition(lake.calendar) for each in manifests if each.state == state)

    rejected = sum((Counter(manifest.rejected) for manifest in manifests), Counter[str]())
    return DatasetStatus(
        name=name,
        open=ranges("open"),
        closed=ranges("closed"),
        parts=sum(len(manifest.files) for manifest in manifests),
        rows_out=sum(manifest.rows_out for manifest in manifests),
        duplicates=sum(manifest.duplicates for manifest in manifests),
        rejected=dict(sorted(rejected.items())),
        control=sum(manifest.control for manifest in manifests),
    )
