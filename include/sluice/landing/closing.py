"""Closes raw partitions: each once the watermark has passed its end, so that everyone can tell (P5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sluice.lake import Lake, raw_dataset
from sluice.manifests import Manifest, latest
from sluice.partitions import Partition, between
from sluice.pipeline import FifoQueue


def watermark(manifests: Sequence[Manifest], source: FifoQueue, drained_empty: bool, now: datetime) -> datetime | None:
    """Up to when all events are taken to be in: None while nothing is known.

    It is the highest event time seen less the allowed lateness; of a queue that is drained empty, it is the wall
    clock less the allowed lateness.
    """
    highest = now if drained_empty else latest(manifest.last_event_time for manifest in manifests)
    return None if highest is None else highest - source.lateness


def close_partitions(lake: Lake, source: FifoQueue, drained_empty: bool) -> list[Partition]:
    """Close every open partition that ends by the watermark, and say which this call closed.

    A partition without a single event, between two that have some, is closed empty: nobody waits for it in vain.
    Safe beside other closers and drains: each change is a conditional put.
    """
    dataset = raw_dataset(source.name)
    manifests = lake.manifests(dataset)
    passed = watermark(manifests, source, drained_empty, lake.now())
    if passed is None or not manifests:
        return []
    known = {manifest.time_partition: manifest for manifest in manifests}
    due = [
        partition
        for partition in between(min(known), max(known))
        if partition.end <= passed and (partition not in known or known[partition].state == "open")
    ]
    return [partition for partition in due if _close(lake, dataset, partition)]


def _close(lake: Lake, dataset: str, partition: Partition) -> bool:
    closed_here = False

    def close(before: Manifest | None) -> Manifest | None:
        nonlocal closed_here
        closed_here = before is None or before.state == "open"
        if not closed_here:
            return None
        manifest = before or Manifest(dataset=dataset, partition=partition.key, state="open", written_at=lake.now())
        return manifest.model_copy(update={"state": "closed", "revision": 1, "written_at": lake.now()})

    lake.update_manifest(dataset, partition, close)
    return closed_here
