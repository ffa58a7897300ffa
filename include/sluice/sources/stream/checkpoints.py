"""Checkpoints: up to where each shard of a stream is durable and recorded, in one JSON object per shard.

A checkpoint is written after its records have landed, and only moves forward (P1). Each member is true by itself, so
the checkpoints of two readers of one shard are merged member by member.
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
    """A time (UTC) whose records, if there were any, the stream's retention trimmed before they were read."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    until: datetime


class Checkpoint(BaseModel):
    """How far one shard has landed.

    Attributes:
        sequence_number: The record up to which all are durable and recorded; None before the first.
        read_until: All that arrived up to this moment (UTC) is read and durable.
        at_tip: At that moment no more records waited.
        last_event_time: The highest event time in the bodies of those records (UTC).
        ended: The shard is closed and read to its end.
        gaps: The times whose records were trimmed before they were read.
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
        """Merge two checkpoints of one shard: of each member the farther value. The order does not matter."""
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
    """Move a shard's checkpoint forward.

    Args:
        reached: The new checkpoint. Its records must have landed.

    Returns:
        The checkpoint in the lake afterwards. Another reader's may have been farther.

    Raises:
        ConflictingWrite: other readers wrote it first, twenty times in a row.
    """

    def forward(before: Checkpoint | None) -> Checkpoint:
        return reached if before is None else before.joined(reached)

    return lake.update(lake.layout.checkpoint(source, reached.shard), Checkpoint, forward)


def unread_since(parents: Iterable[str], checkpoints: Mapping[str, Checkpoint]) -> datetime | None:
    """The moment (UTC) after which nothing of a shard without a checkpoint is read. Until then its parents were read.

    A parent that is gone and has no checkpoint was never read. Then it is the moment at which any shard was last read.

    Returns:
        None if nothing of the stream was read, or if the shard has no parents.
    """
    parents = list(parents)
    if not parents or not checkpoints:
        return None
    known = [checkpoints[parent].read_until for parent in parents if parent in checkpoints]
    if len(known) == len(parents):
        return min((moment for moment in known if moment is not None), default=None)
    return latest(checkpoint.read_until for checkpoint in checkpoints.values())
