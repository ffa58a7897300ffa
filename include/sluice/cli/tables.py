"""The tables that the command line prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from sluice.evaluation.verdict import shown
from sluice.housekeeping.policy import Leftover
from sluice.redrive.held import Held
from sluice.redrive.sending import SentBack
from sluice.serving.records import DeploymentRecord
from sluice.status import PipelineStatus, ScoringStatus, SourceStatus

_LONGEST_CELL = 2000


def status_tables(name: str, status: PipelineStatus) -> list[Table | str]:
    """Return the status of a pipeline as tables, and a line if it declares no training or no deployment.

    Args:
        name: The name of the pipeline.
        status: What the tables show.
    """
    return [
        *_sources(name, status),
        _datasets(name, status),
        status.late,
        *([f"{name} ends at its lake: it declares no training"] if status.jobs is None else _model(name, status)),
    ]


def _datasets(name: str, status: PipelineStatus) -> Table:
    return table(
        f"{name}: datasets",
        (
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
        ),
        [
            (
                dataset.name,
                dataset.closed,
                dataset.open,
                dataset.outside,
                dataset.parts,
                dataset.rows_out,
                dataset.not_conformed or "",
                _counts(dataset.late),
                dataset.duplicates,
                _counts(dataset.rejected),
                dataset.control or "",
            )
            for dataset in status.datasets
        ],
    )


def _model(name: str, status: PipelineStatus) -> Iterator[Table | str]:
    yield table(
        f"{name}: training jobs",
        ("job", "status", "seconds", "billed", "metrics"),
        [
            (
                job.name,
                job.status,
                job.seconds,
                _dollars(status.job_prices[job.name]),
                _counts({name: round(v, 4) for name, v in job.metrics.items()}),
            )
            for job in status.jobs or ()
        ],
    )
    if status.served:
        yield _endpoint(name, status)
    if status.scoring is not None:
        yield _scoring(name, status.scoring, status.metric)
    if not status.served and status.scoring is None:
        yield f"{name} ends at its trained model: it declares no deployment"


def _scoring(name: str, scoring: ScoringStatus, metric: str) -> Table:
    live = scoring.live
    return table(
        f"{name}: batch scoring",
        ("dataset", "newest partition", "scored by", "live model", "trained", f"test {metric}"),
        [
            (
                scoring.dataset,
                scoring.newest or "-",
                scoring.scored_by or "-",
                live.model.job if live else "-",
                _moment(live.model.trained if live else None),
                _metric(live.metrics.get(metric) if live else None),
            )
        ],
    )


def _endpoint(name: str, status: PipelineStatus) -> Table:
    deployment, metric = status.deployment, status.metric
    return table(
        f"{name}: endpoint",
        ("endpoint", "status", "config", "proven", "model", "trained", "on", f"test {metric}", "an hour"),
        [
            (
                status.endpoint.name,
                status.endpoint.status,
                status.endpoint.config,
                "yes" if _proven(status) else "no",
                deployment.model.job if deployment else "",
                _moment(deployment.model.trained) if deployment else "",
                status.snapshot.partitions["train"] if status.snapshot else "",
                _metric(deployment.metrics.get(metric)) if deployment else "",
                _dollars(status.endpoint_price) if _proven(status) else "",
            )
        ]
        if status.endpoint
        else [],
    )


def deployments_table(name: str, records: Mapping[int, DeploymentRecord]) -> Table:
    """Return a table of what was made live, oldest first.

    Args:
        name: The name of the pipeline.
        records: The records of deployments, by their numbers.
    """
    return table(
        f"{name}: deployments",
        ("number", "endpoint", "model", "trained", "verdict", "test metrics"),
        [
            (
                number,
                record.endpoint or "-",
                record.model.job,
                _moment(record.model.trained),
                record.verdict,
                ", ".join(f"{metric} {_metric(value)}" for metric, value in record.metrics.items()),
            )
            for number, record in records.items()
        ],
    )


def _metric(value: float | None) -> str:
    return "-" if value is None else shown(value)


def _sources(name: str, status: PipelineStatus) -> Iterator[Table]:
    """Yield a table for each kind of source, with the figures of that kind."""
    for kind, group in groupby(sorted(status.sources, key=attrgetter("kind")), key=attrgetter("kind")):
        sources: list[SourceStatus] = list(group)
        figures = list(sources[0].figures)
        yield table(
            f"{name}: {kind}s",
            ("source", *(figure.replace("_", " ") for figure in figures)),
            [(each.source, *(_figure(each.figures[figure]) for figure in figures)) for each in sources],
        )


def _proven(status: PipelineStatus) -> bool:
    """Return whether the live configuration is the last proven one, whose job and AUC the table shows."""
    endpoint, deployment = status.endpoint, status.deployment
    return endpoint is not None and deployment is not None and endpoint.config == deployment.config


def _dollars(price: float | None) -> str:
    return "no price" if price is None else f"{price:.4f} $"


def _figure(value: float | datetime | None) -> str:
    if value is None:
        return "-"
    return _moment(value) if isinstance(value, datetime) else f"{value:.0f}"


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def leftovers_table(leftovers: Iterable[Leftover], now: datetime) -> Table:
    """Return a table of what may go.

    Args:
        leftovers: What a survey has found.
        now: The time (UTC), from which ages count.
    """
    return table(
        "may go",
        ("kind", "name", "days old", "objects", "size", "reason"),
        [
            (
                each.thing.kind,
                each.thing.name,
                (now - each.thing.changed).days,
                each.thing.objects or "",
                decimal(each.thing.size) if each.thing.objects else "",
                each.reason,
            )
            for each in leftovers
        ],
    )


def held_table(rows: Iterable[Held]) -> Table:
    """Return a table of what can be sent back."""
    return table(
        "held back",
        ("source", "where", "reason", "count", "sent back", "unknown", "oldest", "example"),
        [
            (
                held.source,
                held.where,
                held.reason,
                held.count,
                held.sent_back,
                held.unknown,
                _moment(held.oldest),
                held.example,
            )
            for held in rows
        ],
    )


def sent_table(rows: Iterable[SentBack]) -> Table:
    """Return a table of what was sent back."""
    return table(
        "sent back",
        ("source", "where", "sent", "already sent", "unknown", "failed", "behind these", "not deleted"),
        [
            (each.source, each.where, each.sent, each.already, each.unknown, each.failed, each.behind, each.undeleted)
            for each in rows
        ],
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table of cells that may come from producers.

    Args:
        title: The title.
        columns: The headers.
        rows: The cells of each row.
    """
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def _cell(value: object) -> Text:
    """Return a cell. Ids and reasons come from producers, so markup and control characters are not interpreted."""
    text = str(value)
    shown = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return Text("".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown))


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
