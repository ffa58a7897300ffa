"""Sends metrics of Sluice as Airflow sends its own. Their names are ``sluice.<pipeline>.<source>.<name>``.

If Airflow sends no metrics, these functions do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.observability import stats

from sluice.declaration.sources import EventSource
from sluice.declaration.steps import Conform

if TYPE_CHECKING:
    from sluice.landing.parts import Flush
    from sluice.workspace import Workspace


def flush_metrics(pipeline: str, source: str) -> Callable[[Flush], None]:
    """Return a function that sends the metrics of one flush: counters of what it landed, and gauges of itself.

    Args:
        pipeline: The name of the pipeline.
        source: The name of its queue or stream.
    """
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


def report_source(workspace: Workspace, source: EventSource) -> None:
    """Send those figures of a source that are numbers, such as the backlog of a queue.

    Args:
        workspace: The workspace of the pipeline that declares the source.
        source: The queue or stream.
    """
    from sluice.sources.connecting import connect_events

    for name, value in connect_events(workspace, source).gauges().items():
        stats.gauge(f"sluice.{workspace.pipeline.name}.{source.name}.{name}", value)


def report_conformed(workspace: Workspace, name: str, ranges: str) -> None:
    """Send the counts of a ``Conform`` step over the partitions of a run; do nothing for another step.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        name: The name of the step.
        ranges: The partitions of the run, as ranges.
    """
    from sluice.lake.partitions import parse_ranges

    step = workspace.pipeline.step(name)
    if not isinstance(step, Conform):
        return
    found = (workspace.lake.manifest(name, partition) for partition in parse_ranges(ranges, workspace.lake.calendar))
    manifests = [manifest for manifest in found if manifest is not None]
    prefix = f"sluice.{workspace.pipeline.name}.{step.source}"
    stats.gauge(f"{prefix}.conformed", sum(manifest.rows_out for manifest in manifests))
    stats.gauge(f"{prefix}.duplicates", sum(manifest.duplicates for manifest in manifests))
    stats.gauge(f"{prefix}.quarantined", sum(sum(manifest.rejected.values()) for manifest in manifests))
    stats.gauge(f"{prefix}.control", sum(manifest.control for manifest in manifests))
