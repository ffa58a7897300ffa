"""Closes and lands partitions, for sources of any kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from typing import Any

from sluice.declaration.sources import SETTLING, EventSource
from sluice.lake.partitions import Partition, parse_ranges
from sluice.landing.closing import close_source
from sluice.sources.completeness import why_incomplete
from sluice.sources.connecting import connect, connect_events
from sluice.sources.contract import Connector
from sluice.workspace import Workspace


def close_partitions(workspace: Workspace, source: EventSource, settling: timedelta = SETTLING) -> str:
    """Close every partition of a source that is complete.

    Args:
        workspace: The pipeline that declares the source.
        source: The source of events.
        settling: How long the counters of a queue have to be zero.

    Returns:
        The ranges of closed partitions that were not announced yet.

    Raises:
        ConflictingWrite: other writers kept changing a manifest.
    """
    evidence = connect_events(workspace, source).evidence(settling)
    return close_source(workspace.lake, workspace.pipeline, source, evidence)


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

    def landed(pair: tuple[Connector[Any], Partition]) -> bool:
        connector, partition = pair
        return why_incomplete(connector, partition) is None and connector.land(partition)

    pipeline = workspace.pipeline
    connectors = [connect(workspace, source) for source in pipeline.sources if source not in pipeline.event_sources]
    with ThreadPoolExecutor(8) as pool:  # all land before the first failure is raised
        results = [pool.submit(landed, pair) for pair in product(connectors, parse_ranges(ranges))]
    return sum(each.result() for each in results)
