"""Closes raw partitions. A partition closes once the watermark has passed its end (P5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise

from sluice.completions import unannounced
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest, latest
from sluice.lake.partitions import Partition, between, format_ranges
from sluice.lake.store import Lake
from sluice.landing.parts import without_inline

_LONGEST_GAP = 1000


@dataclass(frozen=True)
class Evidence:
    """How far a source has landed.

    Attributes:
        is_drained: Whether everything in the source has landed.
        no_later_than: The watermark must not pass this moment (UTC); None if only the wall clock bounds it.
    """

    is_drained: bool
    no_later_than: datetime | None = None


def watermark(manifests: Sequence[Manifest], source: EventSource, evidence: Evidence, now: datetime) -> datetime | None:
    """Return the moment (UTC) up to which all events are taken to have arrived; None while nothing is known.

    It is the highest event time minus the allowed lateness. For a drained source it is the wall clock minus the allowed
    lateness. An event time ahead of the wall clock comes from a wrong clock and counts as now.

    Args:
        manifests: The manifests of the source's raw partitions.
        source: The source, which declares the allowed lateness.
        evidence: How far the source has landed.
        now: The wall clock (UTC).
    """
    bound = now if evidence.no_later_than is None else min(now, evidence.no_later_than)
    highest = bound if evidence.is_drained else latest(manifest.last_event_time for manifest in manifests)
    return None if highest is None else min(highest, bound) - source.lateness


def close_source(lake: Lake, source: EventSource, evidence: Evidence) -> str:
    """Close every open partition that ends by the watermark.

    A partition without events between two that have events is closed empty, so that nothing waits for it. A gap of more
    than 1,000 partitions stays open, because it comes from an event with a wrong time. Other closers and drains may run
    at the same time: each change is a conditional put.

    Args:
        lake: The lake that holds the source's raw partitions.
        source: The source, which declares the allowed lateness.
        evidence: How far the source has landed.

    Returns:
        The ranges of closed partitions whose current content is not announced yet: those that this call closed, those
        that late data changed, and those that an earlier run closed before it died.
    """
    dataset = raw_dataset(source.name)
    known = {manifest.time_partition: manifest for manifest in lake.manifests(dataset)}
    passed = watermark(list(known.values()), source, evidence, lake.now())
    if passed is not None:
        still_open = [partition for partition, manifest in known.items() if manifest.state == "open"]
        due = [partition for partition in (*still_open, *_gaps(sorted(known))) if partition.end <= passed]
        with ThreadPoolExecutor(16) as pool:
            known.update(zip(due, pool.map(partial(_close, lake, dataset), due), strict=True))
    closed = [manifest for manifest in known.values() if manifest.state == "closed"]
    return format_ranges(manifest.time_partition for manifest in unannounced(lake, dataset, closed))


def is_before_first_event(lake: Lake, dataset: str, pipeline: Pipeline, partition: Partition) -> bool:
    """Return whether a partition is earlier than the first event since the pipeline's ``start``.

    Such a partition is empty by definition: nothing closes it, and nothing waits for it.

    Args:
        lake: The lake of the pipeline.
        dataset: The raw dataset whose first event counts.
        pipeline: The pipeline, which declares the start and the length of partitions.
        partition: The partition in question.
    """
    first = lake.first_partition(dataset, Partition.containing(pipeline.start, pipeline.every))
    return first is not None and partition < first


def _gaps(partitions: Sequence[Partition]) -> Iterator[Partition]:
    """Yield the partitions that are missing between neighbours."""
    for before, after in pairwise(partitions):
        first, last = before.shift(1), after.shift(-1)
        if last <= first.shift(_LONGEST_GAP - 1):
            yield from between(first, last)


def _close(lake: Lake, dataset: str, partition: Partition) -> Manifest:
    def close(before: Manifest | None) -> Manifest:
        manifest = before or Manifest(dataset=dataset, partition=partition.key, state="open", written_at=lake.now())
        if manifest.state == "closed":
            return manifest
        return without_inline(lake, manifest).model_copy(
            update={"state": "closed", "revision": 1, "written_at": lake.now()}
        )

    return lake.update_manifest(dataset, partition, close)
