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

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look, Reads
from sluice.lake.manifests import Manifest, latest
from sluice.lake.partitions import Partition, between, format_ranges
from sluice.lake.pending import expect, read_pending
from sluice.lake.readable import read_each
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
        until: Each partition that ends by then (UTC), and not by ``since``, has a manifest. None until an event has
            landed.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    since: datetime
    until: datetime | None = None


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
        The ranges of closed partitions that are to be announced: those that this call closed, those that late data
        changed, and those that an earlier run closed before it died.

    Raises:
        ConflictingWrite: other writers kept changing a manifest.
    """
    look, dataset = Look(lake), raw_dataset(source.name)
    pending = read_pending(lake, source.name)
    changed = pending.changed(lake.calendar)
    first = [each for each in pending.partitions(lake.calendar) if each not in changed]
    look.read_manifests((dataset, each) for each in first)
    manifests, unreadable = read_each(partial(look.manifest, dataset), first)
    still_open = {manifest.time_partition(lake.calendar) for manifest in manifests if manifest.state == "open"}
    closed = {*(manifest.time_partition(lake.calendar) for manifest in manifests), *changed} - still_open
    passed = watermark(source, evidence, lake.now())
    if passed is not None:
        closed |= _closed(look, dataset, {each for each in still_open if each.end <= passed})
        closed |= _silence_closed(look, pipeline, source, passed, closed | still_open | unreadable)
    return format_ranges(closed)


def is_empty_by_rule(lake: Reads, source: str, partition: Partition) -> bool:
    """Return whether a partition without a manifest is empty for good.

    It is if it had passed when its source was first seen without a backlog. Nothing closes it, and nothing waits for
    it. If an event of that time comes later, the partition gets a manifest.

    Args:
        lake: The lake of the pipeline, or a look at it.
        source: The name of the source.
        partition: A raw partition that has no manifest.
    """
    until = empty_until(lake, source)
    return until is not None and partition.end <= until


def empty_until(lake: Reads, source: str) -> datetime | None:
    """Return until when (UTC) partitions without a manifest are empty for good; None while that is not known.

    Args:
        lake: The lake of the pipeline, or a look at it.
        source: The name of the source.
    """
    observed = lake.stored(lake.layout.observed(source), Observed).value
    return None if observed is None else observed.since


def _silence_closed(
    look: Look, pipeline: Pipeline, source: EventSource, passed: datetime, known: Collection[Partition]
) -> set[Partition]:
    """Close the partitions without an event since the source is observed, up to the watermark.

    Until the first event arrives, the observation begins anew with each call. So it does after a clock that went back:
    what had passed by the wrong clock has not. What an earlier call has closed is not looked at again.
    """
    lake, dataset, key = look.lake, raw_dataset(source.name), look.layout.observed(source.name)
    seen = lake.stored(key, Observed)
    before = seen.value if seen.value is None or seen.value.since <= lake.now() else None
    landed = bool(known) or (before is not None and before.until is not None) or _has_landed(lake, dataset)
    first_open = Partition.containing(passed, pipeline.calendar)
    last = first_open.shift(-1)
    if pipeline.end is not None:
        last = min(last, Partition.containing(pipeline.end, pipeline.calendar))
    silent = _without_events(lake, dataset, before, last, known) if before is not None and landed else []
    if before is None or not landed or len(silent) > _LONGEST_SILENCE:
        anew = Observed(since=first_open.start, until=first_open.start if landed else None)
        lake.update(key, Observed, lambda _: anew, seen)
        return set()
    if silent:
        expect(lake, source.name, dict.fromkeys(silent, 1))
    closed = _closed(look, dataset, silent)
    lake.update(key, Observed, lambda now: _seen_until(now or before, last.end), seen)
    return closed


def _without_events(
    lake: Lake, dataset: str, observed: Observed, last: Partition, known: Collection[Partition]
) -> list[Partition]:
    """Return the partitions without a manifest that no call has looked at, up to the last one."""
    seen = observed.since if observed.until is None else max(observed.since, observed.until)
    later = [each for each in between(Partition.containing(seen, last.calendar), last) if each not in known]
    present = lake.manifest_etags(dataset, later)
    return [each for each in later if each not in present]


def _has_landed(lake: Lake, dataset: str) -> bool:
    return next(lake.objects(lake.layout.dataset(dataset)), None) is not None


def _seen_until(observed: Observed, moment: datetime) -> Observed:
    return observed.model_copy(update={"until": latest([observed.until, moment])})


def _closed(look: Look, dataset: str, partitions: Collection[Partition]) -> set[Partition]:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(partial(_close, look, dataset), partitions))
    return set(partitions)


def _close(look: Look, dataset: str, partition: Partition) -> None:
    lake = look.lake

    def close(before: Manifest | None) -> Manifest:
        manifest = before or Manifest(dataset=dataset, partition=partition.key, state="open", written_at=lake.now())
        if manifest.state == "closed":
            return manifest
        return compacted(lake, without_inline(lake, manifest)).model_copy(
            update={"state": "closed", "revision": 1, "written_at": lake.now()}
        )

    seen = look.stored(look.layout.manifest(dataset, partition), Manifest)
    lake.update_manifest(dataset, partition, close, seen)
