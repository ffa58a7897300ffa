"""Reports on a live model. They are numbered, and never rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.errors import MissingResource
from sluice.evaluation.verdict import Figure
from sluice.lake.journal import append, entry, newest
from sluice.lake.manifests import digest_of
from sluice.lake.store import Lake


class Finding(BaseModel):
    """What exceeds a bound: a sentence with the value, the bound and the next action.

    ``about`` says what was measured. A training can help against the first two.
    """

    model_config = ConfigDict(frozen=True)

    about: Literal["metric", "drift", "endpoint", "source"]
    text: str


class Report(BaseModel):
    """What one look has found.

    ``model`` is the training job of the model that was proven to be live; None if there is none. ``partitions`` are
    those of the window, as ranges; they have ``rows`` rows, ``judged`` of which the endpoint was asked. ``metrics`` are
    those of its answers, ``drift`` is the population stability index by feature. ``status`` is that of the endpoint.
    ``errors`` and ``latency`` are the 5XX responses and the 99th percentile of the model's latency in seconds, each in
    the worst minute of the last day; None if nothing was reported. ``oldest`` is the age of the oldest event that
    waits, in seconds by source. ``since`` is the look that was the first to have these findings, or none (UTC).
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    endpoint: str
    model: str | None
    partitions: str
    rows: int
    judged: int
    metrics: Mapping[str, Figure]
    drift: Mapping[str, float]
    status: str
    errors: float | None
    latency: float | None
    oldest: Mapping[str, float]
    findings: tuple[Finding, ...] = Field(default=())
    since: datetime

    @property
    def digest(self) -> str:
        """The digest of the findings. It is another one if the same findings come back after they were gone."""
        return digest_of([self.since.isoformat(), [each.text for each in self.findings]])

    @property
    def is_outdated(self) -> bool:
        """Whether the model no longer fits the data, so that a training may help."""
        return any(each.about in ("metric", "drift") for each in self.findings)


def newest_report(lake: Lake) -> Report | None:
    """Return the newest report; None if there is none."""
    return newest(lake, lake.layout.monitoring(), Report)


def record_report(lake: Lake, report: Report) -> int:
    """Append a report. If it equals the newest one, nothing is written.

    Args:
        lake: The lake of the reports.
        report: The report.

    Returns:
        The number of the report, from 1.

    Raises:
        ConflictingWrite: other runs keep writing reports.
    """
    return append(lake, lake.layout.monitoring(), report)


def read_report(lake: Lake, number: int) -> Report:
    """Return a report by its number, from 1.

    Args:
        lake: The lake of the reports.
        number: The number.

    Raises:
        MissingResource: there is none, or an older version of Sluice has written it.
    """
    report = entry(lake, lake.layout.monitoring(), number, Report)
    if report is None:
        raise MissingResource(
            f"report {number} in {lake.uri(lake.layout.monitoring())} has another schema; run {lake.pipeline}_monitor"
        )
    return report
