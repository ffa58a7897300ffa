"""Checkpoints: up to where each shard of a stream is durable and recorded, one JSON object per shard.

A checkpoint is written after what it speaks of has landed, and only ever moves forward (P1). Each of its statements is
true by itself, so of two readers' checkpoints the farther statement of either holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.lake.manifests import latest
from sluice.lake.store import Lake


class Gap(BaseModel):
    """What arrived in this time, if anything did, was trimmed by the stream's retention before it was read (UTC)."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    until: datetime


class Checkpoint(BaseModel):
    """How far one shard is landed.

    ``sequence_number`` is that of the last record that is durable and recorded, and so are all before it; None
    before the first. ``read_until``: all that arrived up to this moment (UTC) is read and durable. ``at_tip``: at that
    moment nothing more waited. ``last_event_time``: the highest that those records tell. ``ended``: the shard is closed
    and read to its end. ``gaps``: what was trimmed before it was read.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    shard: str
    sequence_number: str | None = None
    read_until: datetime | None = None
    at_tip: bool = False
    last_event_time: datetime | None = None
    ended: bool = False
    gaps: tuple[Gap, ...] = ()

    def joined(self, other: Checkpoint) -> Checkpoint:
        """What holds when both hold; the order does not matter."""
        newer = max(self, other, key=lambda each: (each.read_until is not None, each.read_until or 0, not each.at_tip))
        gaps = {(gap.since, gap.until): gap for gap in (*self.gaps, *other.gaps)}
        return Checkpoint(
            shard=self.shard,
            sequence_number=max(self.sequence_number, other.sequence_number, key=lambda number: int(number or -1)),
            read_until=latest([self.read_until, other.read_until]),
            at_tip=newer.at_tip,
            last_event_time=latest([self.last_event_time, other.last_event_time]),
            ended=self.ended or other.ended,
            gaps=tuple(gaps[key] for key in sorted(gaps)),
        )


def read_checkpoints(lake: Lake, source: str) -> Mapping[str, Checkpoint]:
    """Every checkpoint of a source, by shard."""
    keys = [key for key, _, _ in lake.objects(lake.layout.checkpoints(source))]
    with ThreadPoolExecutor(16) as pool:
        found = [Checkpoint.model_validate_json(body) for body in pool.map(lake.get, keys)]
    return {checkpoint.shard: checkpoint for checkpoint in found}


def advance(lake: Lake, source: str, reached: Checkpoint) -> Checkpoint:
    """Move the shard's checkpoint to what is ``reached``, never back; returns what stands afterwards.

    All that ``reached`` speaks of must have landed.

    Raises:
        ConflictingWrite: other readers were faster twenty times in a row.
    """

    def forward(before: Checkpoint | None) -> Checkpoint:
        return reached if before is None else before.joined(reached)

    return lake.update(lake.layout.checkpoint(source, reached.shard), Checkpoint, forward)


def unread_since(parents: Iterable[str], checkpoints: Mapping[str, Checkpoint]) -> datetime | None:
    """From when on a shard that has no checkpoint is unread for sure: up to then its parents were read.

    None: nothing of the stream was ever read, or the shard was there when reading began. A parent that is gone without
    a checkpoint was never read: then it is unread since the stream was last read at all.
    """
    parents = list(parents)
    if not parents or not checkpoints:
        return None
    known = [checkpoints[parent].read_until for parent in parents if parent in checkpoints]
    if len(known) == len(parents):
        return min((moment for moment in known if moment is not None), default=None)
    return latest(checkpoint.read_until for checkpoint in checkpoints.values())
