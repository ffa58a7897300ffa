"""The command that shows what a pipeline has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, ClassVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import LAKE, AnyPipelineArgument, AsJson
from sluice.cli.tables import Listing, listing
from sluice.cli.words import dollars, figure, metric, moment, ranges
from sluice.dataset.snapshot import Snapshot
from sluice.declaration.folders import pipeline_names
from sluice.errors import SluiceError
from sluice.serving.records import DeploymentRecord
from sluice.status import DatasetStatus, PipelineStatus, ScoringStatus, SourceStatus, pipeline_status
from sluice.training.jobs import Job
from sluice.workspace import Workspace

commands = typer.Typer()


class JobAnswer(Member):
    """A training job, with what AWS bills for it (USD; null if no price is known)."""

    name: str
    status: str
    seconds: int
    price: float | None
    metrics: Mapping[str, float]


class LiveAnswer(Member):
    """The model that is live: its job, when it was trained, the partitions it learned from, and its test metrics."""

    job: str
    trained: datetime
    trained_on: str | None
    metrics: Mapping[str, float | None]


class EndpointAnswer(Member):
    """The endpoint. ``live`` is what was proven last, and ``price`` is for an hour of it (USD; null if unknown)."""

    name: str
    status: str
    config: str
    proven: bool
    price: float | None
    live: LiveAnswer | None


class ScoringAnswer(Member):
    """The dataset of scores: its newest partition, the job of the model that has scored it, and the live model."""

    dataset: str
    newest: str | None
    scored_by: str | None
    live: LiveAnswer | None


class PipelineAnswer(Member):
    """What one pipeline has. ``jobs`` is null if it declares no training, ``metric`` that of its gate."""

    pipeline: str
    sources: tuple[SourceStatus, ...]
    datasets: tuple[DatasetStatus, ...]
    late: str
    metric: str
    jobs: tuple[JobAnswer, ...] | None
    served: bool
    endpoint: EndpointAnswer | None
    scoring: ScoringAnswer | None

    def texts(self) -> Iterator[Listing | str]:
        """Yield the tables, and a line if the pipeline declares no training or no deployment."""
        yield from _sources(self)
        yield _datasets(self)
        yield self.late
        yield from _model(self)


class StatusAnswer(Answer):
    """The pipelines, and why the others could not be shown, by their names."""

    command: ClassVar[str] = "status, watch"
    pipelines: tuple[PipelineAnswer, ...]
    failed: Mapping[str, str]

    @override
    def texts(self) -> Iterator[Listing | str]:
        for each in self.pipelines:
            yield from each.texts()


@commands.command("status", rich_help_panel=LAKE)
def _status(pipeline: AnyPipelineArgument = None, as_json: AsJson = False) -> None:
    """Show backlog, partitions and their state, datasets, training jobs and the endpoint."""
    names = [pipeline] if pipeline else pipeline_names()
    found: list[PipelineAnswer] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            found.append(pipeline_answer(name, pipeline_status(Workspace.open(Aws(), name))))
        except (SluiceError, BotoCoreError, ClientError) as error:
            if len(names) == 1:
                raise
            failed[name] = explain(error)
            typer.echo(f"{name}: {failed[name]}", err=True)
    show(StatusAnswer(pipelines=tuple(found), failed=failed), as_json)
    if failed:
        raise SluiceError(f"the status of {', '.join(failed)} could not be shown; see above")


def pipeline_answer(name: str, status: PipelineStatus) -> PipelineAnswer:
    """Return what `status` answers for one pipeline.

    Args:
        name: The name of the pipeline.
        status: What it has.
    """
    return PipelineAnswer(
        pipeline=name,
        sources=status.sources,
        datasets=status.datasets,
        late=status.late,
        metric=status.metric,
        jobs=None if status.jobs is None else tuple(_job_answer(job, status) for job in status.jobs),
        served=status.served,
        endpoint=_endpoint_answer(status),
        scoring=_scoring_answer(status.scoring),
    )


def _job_answer(job: Job, status: PipelineStatus) -> JobAnswer:
    price = status.job_prices[job.name]
    return JobAnswer(name=job.name, status=job.status, seconds=job.seconds, price=price, metrics=job.metrics)


def _endpoint_answer(status: PipelineStatus) -> EndpointAnswer | None:
    endpoint, deployment = status.endpoint, status.deployment
    if endpoint is None:
        return None
    return EndpointAnswer(
        name=endpoint.name,
        status=endpoint.status,
        config=endpoint.config,
        proven=deployment is not None and endpoint.config == deployment.config,
        price=status.endpoint_price,
        live=_live_answer(deployment, status.snapshot),
    )


def _scoring_answer(scoring: ScoringStatus | None) -> ScoringAnswer | None:
    if scoring is None:
        return None
    return ScoringAnswer(
        dataset=scoring.dataset,
        newest=scoring.newest,
        scored_by=scoring.scored_by,
        live=_live_answer(scoring.live),
    )


def _live_answer(record: DeploymentRecord | None, snapshot: Snapshot | None = None) -> LiveAnswer | None:
    if record is None:
        return None
    return LiveAnswer(
        job=record.model.job,
        trained=record.model.trained,
        trained_on=snapshot.partitions["train"] if snapshot else None,
        metrics=record.metrics,
    )


def _sources(answer: PipelineAnswer) -> Iterator[Listing]:
    """Yield a listing for each kind of source, with the figures of that kind."""
    for kind, group in groupby(sorted(answer.sources, key=attrgetter("kind")), key=attrgetter("kind")):
        sources: list[SourceStatus] = list(group)
        figures = list(sources[0].figures)
        yield listing(
            f"{answer.pipeline}: {kind}s",
            ("source", *(name.replace("_", " ") for name in figures)),
            [(each.source, *(figure(each.figures[name]) for name in figures)) for each in sources],
        )


def _datasets(answer: PipelineAnswer) -> Listing:
    columns = (
        "dataset",
        "closed",
        "open",
        "outside start and end",
        "parts",
        "rows",
        "not conformed",
        "changed late",
        "duplicates",
        "rejected",
        "no event",
    )
    return listing(f"{answer.pipeline}: datasets", columns, [_dataset_row(each) for each in answer.datasets])


def _dataset_row(dataset: DatasetStatus) -> Sequence[Any]:
    return (
        dataset.name,
        ranges(dataset.closed),
        ranges(dataset.open),
        ranges(dataset.outside),
        dataset.parts,
        "-" if dataset.rows_out is None else dataset.rows_out,
        dataset.not_conformed or None,
        _counts(dataset.late),
        dataset.duplicates or None,
        _counts(dataset.rejected),
        dataset.control or None,
    )


def _model(answer: PipelineAnswer) -> Iterator[Listing | str]:
    name = answer.pipeline
    if answer.jobs is None:
        yield f"{name} ends at its lake: it declares no training"
        return
    yield listing(
        f"{name}: training jobs",
        ("job", "status", "seconds", "billed", "metrics"),
        [
            (job.name, job.status, job.seconds, dollars(job.price), _counts(_rounded(job.metrics)))
            for job in answer.jobs
        ],
    )
    if answer.served:
        yield _endpoint(answer)
    if answer.scoring is not None:
        yield _scoring(answer, answer.scoring)
    if not answer.served and answer.scoring is None:
        yield f"{name} ends at its trained model: it declares no deployment"


def _endpoint(answer: PipelineAnswer) -> Listing:
    endpoint = answer.endpoint
    live = endpoint.live if endpoint else None
    return listing(
        f"{answer.pipeline}: endpoint",
        ("endpoint", "status", "config", "proven", "model", "trained", "on", f"test {answer.metric}", "an hour"),
        [
            (
                endpoint.name,
                endpoint.status,
                endpoint.config,
                "yes" if endpoint.proven else "no",
                live.job if live else None,
                moment(live.trained) if live else None,
                ranges(live.trained_on or "") if live else None,
                metric(live.metrics.get(answer.metric)) if live else None,
                dollars(endpoint.price) if endpoint.proven else None,
            )
        ]
        if endpoint
        else [],
    )


def _scoring(answer: PipelineAnswer, scoring: ScoringAnswer) -> Listing:
    live = scoring.live
    return listing(
        f"{answer.pipeline}: batch scoring",
        ("dataset", "newest partition", "scored by", "live model", "trained", f"test {answer.metric}"),
        [
            (
                scoring.dataset,
                scoring.newest or "-",
                scoring.scored_by or "-",
                live.job if live else "-",
                moment(live.trained if live else None),
                metric(live.metrics.get(answer.metric) if live else None),
            )
        ],
    )


def _rounded(metrics: Mapping[str, float]) -> Mapping[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
