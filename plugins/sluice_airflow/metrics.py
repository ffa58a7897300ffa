"""What an operator watches, among Airflow's own metrics: ``sluice.<pipeline>.<source>.<name>``.

Counters are added up per flush; gauges tell how it is now. Where Airflow sends no metrics, all of this does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.observability import stats

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Queue, Stream
from sluice.declaration.steps import Conform

if TYPE_CHECKING:
    from sluice.landing.parts import Flush
    from sluice.workspace import Workspace


def flush_metrics(pipeline: str, source: str) -> Callable[[Flush], None]:
    """What is called after each flush of a queue or a stream."""
    prefix = f"sluice.{pipeline}.{source}"

    def report(flush: Flush) -> None:
        stats.incr(f"{prefix}.landed", flush.messages)
        stats.incr(f"{prefix}.landed_bytes", flush.bytes)
        stats.incr(f"{prefix}.parts", flush.parts)
        stats.incr(f"{prefix}.redelivered", flush.redelivered)
        stats.gauge(f"{prefix}.flush_messages", flush.messages)
        stats.gauge(f"{prefix}.flush_bytes", flush.bytes)
        stats.gauge(f"{prefix}.lag_seconds", flush.lag_seconds)
        stats.timing(f"{prefix}.flush", timedelta(seconds=flush.seconds))

    return report


def report_queue(workspace: Workspace, source: Queue) -> None:
    """What waits on the source's queue, is in flight, is delayed, and is dead."""
    from sluice.status import queue_status

    status = queue_status(workspace.aws.client("sqs"), workspace, source)
    prefix = f"sluice.{workspace.pipeline.name}.{source.name}"
    stats.gauge(f"{prefix}.waiting", status.waiting)
    stats.gauge(f"{prefix}.in_flight", status.in_flight)
    stats.gauge(f"{prefix}.delayed", status.delayed)
    stats.gauge(f"{prefix}.backlog", status.waiting + status.in_flight + status.delayed)
    if status.dead_letters is not None:
        stats.gauge(f"{prefix}.dead_letters", status.dead_letters)


def report_stream(workspace: Workspace, source: Stream) -> None:
    """How far the source's stream is landed, by its checkpoints."""
    from sluice.status import stream_status

    status = stream_status(workspace, source)
    prefix = f"sluice.{workspace.pipeline.name}.{source.name}"
    stats.gauge(f"{prefix}.shards", status.reading)
    stats.gauge(f"{prefix}.gaps", status.gaps)
    if status.lag_seconds is not None:
        stats.gauge(f"{prefix}.read_lag_seconds", status.lag_seconds)


def report_conformed(workspace: Workspace, pipeline: Pipeline, name: str, ranges: str) -> None:
    """What a ``Conform`` step made of the partitions of this run; nothing of any other step."""
    from sluice.lake.partitions import parse_ranges

    step = pipeline.step(name)
    if not isinstance(step, Conform):
        return
    found = (workspace.lake.manifest(name, partition) for partition in parse_ranges(ranges))
    manifests = [manifest for manifest in found if manifest is not None]
    prefix = f"sluice.{pipeline.name}.{step.source}"
    stats.gauge(f"{prefix}.conformed", sum(manifest.rows_out for manifest in manifests))
    stats.gauge(f"{prefix}.duplicates", sum(manifest.duplicates for manifest in manifests))
    stats.gauge(f"{prefix}.quarantined", sum(sum(manifest.rejected.values()) for manifest in manifests))
