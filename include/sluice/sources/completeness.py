"""Finds the partitions of a pipeline's sources that are not complete yet, and what each waits for."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, product

from sluice.declaration.pipeline import Pipeline
from sluice.lake.partitions import Partition, format_ranges
from sluice.sources.contract import connect
from sluice.workspace import Workspace

_LONGEST_RANGES = 200  # characters


@dataclass(frozen=True, order=True)
class Incomplete:
    """A partition of a source that is not complete.

    Attributes:
        source: The name of the source.
        reason: Why; ``{partition}`` in it is replaced by the partition's key.
        partition: The partition.
    """

    source: str
    reason: str
    partition: Partition


def incomplete(workspace: Workspace, partitions: Iterable[Partition]) -> list[Incomplete]:
    """Return the partitions that are not complete, ordered by source, then by partition.

    Args:
        workspace: The pipeline. All its sources are checked.
        partitions: The partitions to check.
    """
    connectors = [connect(workspace, source) for source in workspace.pipeline.sources]
    pairs = list(product(connectors, partitions))
    with ThreadPoolExecutor(16) as pool:
        reasons = pool.map(lambda pair: pair[0].why_incomplete(pair[1]), pairs)
        return [
            Incomplete(connector.source.name, reason, partition)
            for (connector, partition), reason in zip(pairs, reasons, strict=True)
            if reason is not None
        ]


def describe(pipeline: Pipeline, found: Iterable[Incomplete]) -> str:
    """Describe what is not complete in one line, such as ``flights/weather dt=2013-01-06: no _SUCCESS under …``.

    Args:
        pipeline: The pipeline, whose name goes before the names of sources.
        found: The partitions, as :func:`incomplete` returns them.
    """
    groups = groupby(sorted(found), key=lambda each: (each.source, each.reason))
    return "; ".join(
        _described(f"{pipeline.name}/{source}", reason, [each.partition for each in group])
        for (source, reason), group in groups
    )


def _described(source: str, reason: str, partitions: list[Partition]) -> str:
    ranges = format_ranges(partitions)
    if len(ranges) > _LONGEST_RANGES:
        ranges = f"{ranges[:_LONGEST_RANGES].rpartition(',')[0]},… ({len(partitions)} partitions)"
    return f"{source} {ranges}: {reason.replace('{partition}', partitions[0].key if len(partitions) == 1 else 'dt=…')}"
