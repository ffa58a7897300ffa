"""Which partitions of a pipeline's sources are not complete yet, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, product

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Drops, EventSource, Source
from sluice.lake.layout import raw_dataset
from sluice.lake.partitions import Partition, format_ranges
from sluice.lake.store import Lake
from sluice.sources.drops.land import is_complete

_LONGEST_RANGES = 200


@dataclass(frozen=True, order=True)
class Incomplete:
    """One partition of one source that is not complete. In ``reason``, ``{partition}`` stands for its key."""

    source: str
    reason: str
    partition: Partition


def incomplete(lake: Lake, pipeline: Pipeline, partitions: Iterable[Partition]) -> list[Incomplete]:
    """Every source of every one of ``partitions`` that is not complete, in the order of sources, then of partitions.

    A partition of a queue or stream is complete once it is closed, and likewise before the first event (see
    :func:`is_before_first_event`). A drop is complete once its marker is there, or once it was landed.
    """
    pairs = list(product(pipeline.sources, partitions))
    with ThreadPoolExecutor(16) as pool:
        reasons = pool.map(lambda pair: _reason(lake, pipeline, *pair), pairs)
        return [
            Incomplete(source.name, reason, partition)
            for (source, partition), reason in zip(pairs, reasons, strict=True)
            if reason is not None
        ]


def _reason(lake: Lake, pipeline: Pipeline, source: Source, partition: Partition) -> str | None:
    """Why this partition of the source is not complete; None if it is."""
    if isinstance(source, Drops):
        return None if is_complete(lake, source, partition) else f"no marker under {source.prefix}{{partition}}/"
    manifest = lake.manifest(raw_dataset(source.name), partition)
    if manifest is None:
        empty = is_before_first_event(lake, pipeline, source, partition)
        return None if empty else "no event has arrived in it, and none in a later partition has closed it"
    return None if manifest.state == "closed" else "still open, because events of that time may still arrive"


def is_before_first_event(lake: Lake, pipeline: Pipeline, source: EventSource, partition: Partition) -> bool:
    """Whether a partition lies before the first event that the source ever had since the pipeline's ``start``.

    Such a partition is empty by rule: nothing closes it, and nobody waits for it.
    """
    first = lake.first_partition(raw_dataset(source.name), Partition.containing(pipeline.start, pipeline.every))
    return first is not None and partition < first


def describe(pipeline: Pipeline, found: Iterable[Incomplete]) -> str:
    """What is not complete, in one line, such as ``flights/weather dt=2013-01-06: no marker under …``."""
    groups = groupby(sorted(found), key=lambda each: (each.source, each.reason))
    return "; ".join(
        _described(f"{pipeline.name}/{source}", reason, [each.partition for each in group])
        for (source, reason), group in groups
    )


def _described(source: str, reason: str, partitions: list[Partition]) -> str:
    ranges = format_ranges(partitions)
    if len(ranges) > _LONGEST_RANGES:
        ranges = f"{ranges[:_LONGEST_RANGES].rpartition(',')[0]},… ({len(partitions)} partitions)"
    return f"{source} {ranges}: {reason.format(partition=partitions[0].key if len(partitions) == 1 else 'dt=…')}"
