"""Closes and lands partitions, for sources of any kind."""

from __future__ import annotations

from datetime import timedelta

from sluice.declaration.sources import SETTLING, EventSource
from sluice.lake.partitions import parse_ranges
from sluice.landing.closing import close_source
from sluice.sources.completeness import short_ranges
from sluice.sources.connecting import connect, connect_events
from sluice.workspace import Workspace


def close_partitions(workspace: Workspace, source: EventSource, settling: timedelta = SETTLING) -> str:
    """Close every partition of a source that is complete.

    Args:
        workspace: The pipeline that declares the source.
        source: The source of events.
        settling: How long the counters of a queue have to be zero.

    Returns:
        The ranges of closed partitions that are to be announced, short enough for XCom: of many the first ones.

    Raises:
        ConflictingWrite: other writers kept changing a manifest.
    """
    evidence = connect_events(workspace, source).evidence(settling)
    closed = close_source(workspace.lake, workspace.pipeline, source, evidence)
    return short_ranges(parse_ranges(closed, workspace.pipeline.calendar))


def land_partitions(workspace: Workspace, ranges: str) -> int:
    """Land the complete partitions of every source that has no ingest DAG. Others are left out.

    Args:
        workspace: The pipeline that declares the sources.
        ranges: Ranges of partitions, as :func:`sluice.lake.partitions.parse_ranges` reads them.

    Returns:
        How many partitions have changed.

    Raises:
        ConflictingWrite: a drop was overwritten while it landed.
    """

    pipeline, partitions = workspace.pipeline, parse_ranges(ranges, workspace.pipeline.calendar)
    others = [source for source in pipeline.sources if source not in pipeline.event_sources]
    return sum(connect(workspace, source).land(partitions) for source in others)
