"""Checkpoints: up to where each shard of a stream is durable and recorded, in one JSON object per shard.

A checkpoint is written after its records have landed, and only moves forward (P1). Each of its members is true by
itself, so two readers' checkpoints of one shard are merged member by member. A stream that was deleted and made again
has other records under the same shard ids; so each checkpoint names its stream by the time at which that was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.lake.manifests import earliest, latest
from sluice.lake.store import Lake


class Gap(BaseModel):
    """A time range whose records, if there were any, the stream trimmed before they were read.

    Attributes:
        since: The start of the range (UTC).
        until: The end of the range (UTC).
    """

    model_config = ConfigDict(frozen=True)

    since: datetime
    until: datetime


class Checkpoint(BaseModel):
    """How far one shard has landed.

    Attributes:
        schema_version: The version of this JSON.
        shard: The id of the shard.
        stream_created: When the stream was made (UTC); None in a checkpoint of a version that did not keep it.
        sequence_number: All records up to this one are durable and recorded; None before the first.
        read_until: Everything that arrived up to this moment (UTC) is read and durable.
        at_tip: Whether no more records waited at that moment.
        times: The middle event times of the last flushes (UTC).
        ended: Whether the shard is closed and read to its end.
        gaps: The time ranges whose records were trimmed before they were read.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    shard: str
    stream_created: datetime | None = None
    sequence_number: str | None = None
    read_until: datetime | None = None
    at_tip: bool = False
    times: tuple[datetime, ...] = ()
    ended: bool = False
    gaps: tuple[Gap, ...] = ()

    def merged(self, other: Checkpoint) -> Checkpoint:
        """Merge two checkpoints of one shard: each member gets the value that is farther. The order does not matter.

        Of two streams, the later one counts; the gaps of both are kept.
        """
        gaps = {(gap.since, gap.until): gap for gap in (*self.gaps, *other.gaps)}
        all_gaps = tuple(gaps[key] for key in sorted(gaps))
        created = latest([self.stream_created, other.stream_created])
        if self.stream_created and other.stream_created and self.stream_created != other.stream_created:
            of_later = self if self.stream_created == created else other
            return of_later.model_copy(update={"gaps": all_gaps})
        newer = max(
            self,
            other,
            key=lambda each: (each.read_until is not None, each.read_until or 0, not each.at_tip, each.times),
        )
        return Checkpoint(
            shard=self.shard,
            stream_created=created,
            sequence_number=max(self.sequence_number, other.sequence_number, key=lambda number: int(number or -1)),
            read_until=latest([self.read_until, other.read_until]),
            at_tip=newer.at_tip,
            times=newer.times,
            ended=self.ended or other.ended,
            gaps=all_gaps,
        )


def read_checkpoints(lake: Lake, source: str) -> Mapping[str, Checkpoint]:
    """Read every checkpoint of a source, by shard id.

    Args:
        lake: The lake that holds the checkpoints.
        source: The name of the source.
    """
    keys = lake.documents(lake.layout.checkpoints(source))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda key: lake.stored(key, Checkpoint).value, keys))
    return {checkpoint.shard: checkpoint for checkpoint in found if checkpoint is not None}


def owner_of_unnamed(checkpoints: Iterable[Checkpoint], created: datetime | None) -> datetime | None:
    """Return when the stream was made (UTC) to which checkpoints belong that do not name theirs: the first one.

    Args:
        checkpoints: The checkpoints of a source.
        created: When the stream that is there now was made (UTC).
    """
    return earliest(each.stream_created for each in checkpoints) or created


def of_stream(checkpoints: Mapping[str, Checkpoint], created: datetime | None) -> Mapping[str, Checkpoint]:
    """Return the checkpoints of one stream, without those of earlier or later ones of its name.

    Args:
        checkpoints: The checkpoints of a source, by shard id.
        created: When the stream was made (UTC).
    """
    unnamed = owner_of_unnamed(checkpoints.values(), created)
    return {
        shard: each.model_copy(update={"stream_created": created})
        for shard, each in checkpoints.items()
        if (each.stream_created or unnamed) == created
    }


def of_latest_stream(checkpoints: Mapping[str, Checkpoint]) -> Mapping[str, Checkpoint]:
    """Return the checkpoints of the stream that was made last, as far as they were written.

    Args:
        checkpoints: The checkpoints of a source, by shard id.
    """
    return of_stream(checkpoints, latest(each.stream_created for each in checkpoints.values()))


def advance(lake: Lake, source: str, reached: Checkpoint) -> Checkpoint:
    """Move a shard's checkpoint forward.

    Args:
        lake: The lake that holds the checkpoint.
        source: The name of the source.
        reached: The new checkpoint. Its records must have landed.

    Returns:
        The checkpoint in the lake afterwards. It may be farther, because of another reader.

    Raises:
        ConflictingWrite: other readers wrote it first, twenty times in a row.
    """

    def forward(before: Checkpoint | None) -> Checkpoint:
        return reached if before is None else before.merged(reached)

    return lake.update(lake.layout.checkpoint(source, reached.shard), Checkpoint, forward)


def unread_since(parents: Iterable[str], checkpoints: Mapping[str, Checkpoint]) -> datetime | None:
    """Return the moment (UTC) from which records of a shard without a checkpoint are unread.

    Until then, its parents were read. A parent that is gone and has no checkpoint was never read; then it is the moment
    at which any shard was last read.

    Args:
        parents: The ids of the shard's parents.
        checkpoints: The checkpoints of the source, by shard id.

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
