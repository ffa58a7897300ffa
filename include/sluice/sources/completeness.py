"""Finds the partitions of a pipeline's sources that are not complete yet, and what each waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sluice.declaration.pipeline import Pipeline
from sluice.lake.partitions import Partition, format_ranges
from sluice.sources.connecting import connect
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
    asked = list(partitions)
    return [
        Incomplete(source.name, reasons[partition], partition)
        for source in workspace.pipeline.sources
        for reasons in [connect(workspace, source).incomplete(asked)]
        for partition in asked
        if partition in reasons
    ]


def can_begin(pipeline: Pipeline, partition: Partition, missing: Iterable[Incomplete]) -> bool:
    """Return whether a run has something to do for a partition.

    It has if every source of a step is complete, or one on which a step of an earlier partition looks ahead.

    Args:
        pipeline: The pipeline that declares the steps.
        partition: The partition.
        missing: What is not complete, of any partitions.
    """
    lacking = {each.source for each in missing if each.partition == partition}
    ahead = {read.dataset for step in pipeline.steps for read in step.reads if read.look_ahead}
    awaited = {source.name for source in pipeline.sources} & ahead
    return bool(awaited - lacking) or any(lacking.isdisjoint(names) for names in pipeline.sources_of.values())


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


def short_ranges(partitions: Sequence[Partition]) -> str:
    """Return partitions as ranges for a message, cut after some of them."""
    ranges = format_ranges(partitions)
    if len(ranges) <= _LONGEST_RANGES:
        return ranges
    return f"{ranges[:_LONGEST_RANGES].rpartition(',')[0]},… ({len(partitions)} partitions)"


def _described(source: str, reason: str, partitions: Sequence[Partition]) -> str:
    key = partitions[0].key if len(partitions) == 1 else f"{partitions[0].calendar.windows.column}=…"
    return f"{source} {short_ranges(partitions)}: {reason.replace('{partition}', key)}"
