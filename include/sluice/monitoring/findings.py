"""Compares what was measured with the declared bounds. Each finding says what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from sluice.declaration.deployment import Canary
from sluice.declaration.metrics import METRICS
from sluice.declaration.pipeline import Pipeline
from sluice.evaluation.verdict import shown
from sluice.lake.partitions import format_ranges
from sluice.monitoring.health import Health
from sluice.monitoring.quality import Quality
from sluice.monitoring.report import Finding
from sluice.serving.records import DeploymentRecord
from sluice.sources.connecting import events_source

_ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"


def on_quality(pipeline: Pipeline, quality: Quality) -> Iterator[Finding]:
    """Yield what is wrong with the answers and the features.

    A metric is a finding only if all of its 95 % interval is beyond the bound, and a drift only if it is more than
    chance explains. So a few rows start no training.

    Args:
        pipeline: A pipeline that watches its model.
        quality: How good the model is on the window.
    """
    gate, bounds = pipeline.require_training().gate, pipeline.require_monitoring()
    where = f"the {quality.rows:,} rows of {format_ranges(quality.partitions)}"
    train = f"{pipeline.name}_train"
    follows = f"{train} is triggered: read its verdict" if bounds.retrain else f"run {train}"
    figure, metric = quality.metrics.get(gate.metric), METRICS[gate.metric]
    worst = gate.bound if bounds.worst is None else bounds.worst
    if figure and figure.value is not None and figure.low is not None and figure.high is not None:
        best = figure.high if metric.more_is_better else figure.low
        if not metric.reaches(best, worst):
            yield Finding(
                about="metric",
                text=f"{gate.metric} is {shown(figure.value)} ({shown(figure.low)} to {shown(figure.high)}) on "
                f"{quality.judged:,} of {where}, and the bound is {worst:g}; {follows}",
            )
    for name, index in quality.drift.items():
        bound = max(bounds.drift, quality.by_chance[name])
        if index > bound:
            yield Finding(
                about="drift",
                text=f"{name} has drifted by {index:.2f} (population stability index) in {where}, and the bound is "
                f"{bound:.2f}; look at what writes it, and {follows}",
            )


def on_endpoint(pipeline: Pipeline, proven: DeploymentRecord, health: Health, refusal: str) -> Iterator[Finding]:
    """Yield what is wrong with the endpoint. While it is changing, what it serves is no finding.

    Args:
        pipeline: A pipeline that watches its model.
        proven: The newest deployment of the endpoint.
        health: How the endpoint is.
        refusal: Why it did not answer; empty if it did, or was not asked.
    """
    name, deployment, live = pipeline.name, pipeline.require_deployment(), health.live
    endpoint, bounds = deployment.endpoint, deployment.canary or Canary()
    logs = f"look at the log group {_ENDPOINT_LOGS}/{endpoint}"
    if live is None or (live.settled and not live.serves(proven.config)):
        yield Finding(
            about="endpoint",
            text=f"endpoint {endpoint} is {live or 'gone'}, and {proven.config} was proven; {logs}, then run "
            f"{name}_rollback to the last deployment that `sluice deployments {name}` lists",
        )
    if refusal:
        yield Finding(about="endpoint", text=f"endpoint {endpoint} does not answer the newest rows: {refusal}; {logs}")
    if health.errors is not None and health.errors > bounds.most_errors:
        yield Finding(
            about="endpoint",
            text=f"endpoint {endpoint} answered {health.errors:.0f} requests of one minute of the last day with a "
            f"status of 5XX, and the bound is {bounds.most_errors}; {logs}, or run {name}_rollback",
        )
    if health.latency is not None and health.latency > bounds.slowest:
        yield Finding(
            about="endpoint",
            text=f"endpoint {endpoint} took {health.latency.total_seconds():.3f} s (the 99th percentile of one minute "
            f"of the last day), and the bound is {bounds.slowest.total_seconds():g} s; declare more instances or a "
            f"larger instance_type, or run {name}_rollback",
        )


def on_sources(pipeline: Pipeline, oldest: Mapping[str, timedelta]) -> Iterator[Finding]:
    """Yield the sources in which events wait for too long.

    Args:
        pipeline: A pipeline that watches its model.
        oldest: The age of the oldest event that waits, by source.
    """
    bound = pipeline.require_monitoring().oldest
    for name, age in oldest.items():
        if bound is not None and age > bound:
            ingest = pipeline.ingest_name(events_source(pipeline, name))
            yield Finding(
                about="source",
                text=f"the oldest event that waits in {name} is {_hours(age)} old, and the bound is {_hours(bound)}; "
                f"look at the runs of {ingest}",
            )


def _hours(duration: timedelta) -> str:
    return f"{duration / timedelta(hours=1):.3g} h"
