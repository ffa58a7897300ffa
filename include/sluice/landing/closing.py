"""Closes raw partitions. A partition closes once the watermark has passed its end (P5).

The watermark follows evidence: the moment up to which everything that was sent has landed. An event time alone proves
nothing, because a clock may be wrong and older events may still wait.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.completions import unannounced
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Reads
from sluice.lake.manifests import Manifest, latest
from sluice.lake.partitions import Partition, between, format_ranges
from sluice.lake.store import Lake
from sluice.landing.compacting import compacted
from sluice.landing.parts import without_inline

# A silence is closed partition by partition, which makes a manifest and a completion event of each. Nearly three months
# of hours take seconds and a cent. A longer one, such as from replayed history to today, is empty by rule.
_LONGEST_SILENCE = 2_000


@dataclass(frozen=True)
class Evidence:
    """How far a source has landed.

    Attributes:
        landed_until: Everything that was sent before this moment (UTC) has landed; None while nothing proves it.
        reached: The event time (UTC) that most events of several flushes agree on; None while there are too few. It
            counts for a source with ``close="event_time"`` only.
    """

    landed_until: datetime | None
    reached: datetime | None = None


class Observed(BaseModel):
    """Since when a source is observed.

    Attributes:
        schema_version: The version of this JSON.
        since: The end of the last partition (UTC) that had passed when the source was first seen without a backlog. A
            partition that ends by then is empty by rule, unless it has a manifest.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    since: datetime


def watermark(source: EventSource, evidence: Evidence, now: datetime) -> datetime | None:
    """Return the moment (UTC) up to which all events are taken to have arrived; None while nothing is known.

    An event may be sent up to the allowed lateness after its time, so the watermark trails the evidence by as much. It
    never passes the wall clock less the lateness.

    Args:
        source: The source, which declares the allowed lateness, and whether event times count.
        evidence: How far the source has landed.
        now: The wall clock (UTC).
    """
    known = latest([evidence.landed_until, evidence.reached if source.close == "event_time" else None])
    return None if known is None else min(known, now) - source.lateness


def close_source(lake: Lake, pipeline: Pipeline, source: EventSource, evidence: Evidence) -> str:
    """Close every open partition that ends by the watermark, and every partition of a silence.

    Other closers and drains may run at the same time: each change is a conditional put.

    Args:
        lake: The lake that holds the source's raw partitions.
        pipeline: The pipeline that declares the source. No silence after its ``end`` is closed.
        source: The source, which declares the allowed lateness.
        evidence: How far the source has landed.

    Returns:
        The ranges of closed partitions whose current content is not announced yet: those that this call closed, those
        that late data changed, and those that an earlier run closed before it died.

    Raises:
        ConflictingWrite: other writers kept changing a manifest.
    """
    dataset = raw_dataset(source.name)
    known = {manifest.time_partition: manifest for manifest in lake.manifests(dataset)}
    passed = watermark(source, evidence, lake.now())
    if passed is not None:
        still_open = [partition for partition, manifest in known.items() if manifest.state == "open"]
        due = [partition for partition in still_open if partition.end <= passed]
        due += _silent(lake, pipeline, source, known, passed)
        with ThreadPoolExecutor(16) as pool:
            known.update(zip(due, pool.map(partial(_close, lake, dataset), due), strict=True))
    closed = [manifest for manifest in known.values() if manifest.state == "closed"]
    return format_ranges(manifest.time_partition for manifest in unannounced(lake, dataset, closed))


def is_empty_by_rule(lake: Reads, source: str, partition: Partition) -> bool:
    """Return whether a partition without a manifest is empty for good.

    It is if it had passed when its source was first seen without a backlog. Nothing closes it, and nothing waits for
    it. If an event of that time comes later, the partition gets a manifest.

    Args:
        lake: The lake of the pipeline, or a look at it.
        source: The name of the source.
        partition: A raw partition that has no manifest.
    """
    observed = lake.stored(lake.layout.observed(source), Observed).value
    return observed is not None and partition.end <= observed.since


def _silent(
    lake: Lake, pipeline: Pipeline, source: EventSource, known: Collection[Partition], passed: datetime
) -> list[Partition]:
    """Return the partitions without an event since the source is observed, up to the watermark.

    Until the first event arrives, the observation begins anew with each call.
    """
    first_open = Partition.containing(passed, pipeline.every)
    last = first_open.shift(-1)
    if pipeline.end is not None:
        last = min(last, Partition.containing(pipeline.end, pipeline.every))

    def without_events(since: datetime) -> list[Partition]:
        return [each for each in between(Partition.containing(since, pipeline.every), last) if each not in known]

    def observe(before: Observed | None) -> Observed:
        if before is None or not known or len(without_events(before.since)) > _LONGEST_SILENCE:
            return Observed(since=first_open.start)
        return before

    return without_events(lake.update(lake.layout.observed(source.name), Observed, observe).since)


def _close(lake: Lake, dataset: str, partition: Partition) -> Manifest:
    def close(before: Manifest | None) -> Manifest:
        manifest = before or Manifest(dataset=dataset, partition=partition.key, state="open", written_at=lake.now())
        if manifest.state == "closed":
            return manifest
        return compacted(lake, without_inline(lake, manifest)).model_copy(
            update={"state": "closed", "revision": 1, "written_at": lake.now()}
        )

    return lake.update_manifest(dataset, partition, close)
