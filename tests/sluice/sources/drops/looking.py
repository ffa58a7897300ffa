"""Looks at one partition of drops."""

from __future__ import annotations

from sluice.declaration.drops import Drops
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.drops import completeness
from sluice.sources.drops.listing import list_drops


def why_incomplete(lake: Lake, source: Drops, partition: Partition) -> str | None:
    return completeness.why_incomplete(list_drops(lake, source, [partition]), partition)
