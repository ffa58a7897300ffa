"""Lands a stream in raw parts: read a window of a shard → write to S3 → record in the manifest → checkpoint (P1).

A shard that was split or merged is read to its end before its children. So the records of a group land in their order,
and no checkpoint counts records as read that are not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Any

from sluice.errors import MissingResource
from sluice.lake.manifests import latest
from sluice.lake.partitions import Partition
from sluice.landing.agreement import last_times, middle_time
from sluice.landing.parts import FLUSH_BYTES, FLUSH_MESSAGES, Flush, Landed, Landing, Limits, Parts
from sluice.records.record import Record
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, unread_since
from sluice.sources.stream.remade import settled_checkpoints
from sluice.sources.stream.shards import MOST_RECORDS, KinesisStream, Place, Shard, ShardBatch, ShardReader

_LOG = logging.getLogger(__name__)

_WRITERS = 8
_FLUSH_SECONDS = 60.0
_LIMITS = Limits()

Read = Callable[[Mapping[str, Any], str], list[Record]]


@dataclass(frozen=True)
class WindowRead(Landed):
    """The result of one read of a shard.

    Attributes:
        checkpoint: The checkpoint of the shard afterwards.
        gap: The gap that this read found, if any.
    """

    checkpoint: Checkpoint
    gap: Gap | None


def read_window(
    reader: ShardReader,
    shard: str,
    read: Read,
    landing: Landing,
    limits: Limits = _LIMITS,
    *,
    on_flush: Callable[[Flush], None] = lambda _: None,
    stop: Event | None = None,
) -> WindowRead:
    """Land what waits in one shard after its checkpoint, until nothing is left, the shard ends or a limit is reached.

    The checkpoint moves after each flush, once its records are durable and recorded. After a kill, the next read lands
    again what was read after the checkpoint. A gap is logged as a warning and kept in the checkpoint.

    Args:
        reader: Reads the shards of the stream.
        shard: The id of the shard.
        read: Makes the records of a Kinesis record, which it gets with the id of its shard.
        landing: Where the records land.
        limits: When to end although more waits.
        on_flush: Called after each flush.
        stop: Set it to end early; what was read is flushed.

    Raises:
        MissingResource: there is no such stream or shard.
        ConflictingWrite: other writers kept changing a manifest or the checkpoint.
    """
    started, stop, stream = time.monotonic(), stop or Event(), reader.stream
    of_stream = {each.id: each for each in stream.list_shards()}
    if shard not in of_stream:
        raise MissingResource(
            f"stream {stream.name} has no shard {shard} any more; run the ingest again: it lists the current shards"
        )
    checkpoint, gap = _begin(stream, of_stream[shard], landing)
    with ThreadPoolExecutor(_WRITERS) as pool:
        window = _Window(of_stream[shard], read, landing, pool, on_flush, checkpoint)

        def most() -> int:
            return max(1, min(MOST_RECORDS, limits.messages - window.records))

        with closing(reader.batches(shard, place_of(checkpoint), landing.lake.now, stop, most)) as batches:
            for batch in batches:
                window.take(batch)
                out_of_time = time.monotonic() - started >= limits.seconds
                if batch.at_tip or out_of_time or window.records >= limits.messages or window.bytes >= limits.bytes:
                    break
        window.flush()
    return WindowRead(
        messages=window.records,
        bytes=window.bytes,
        flushes=window.flushes,
        parts=window.parts,
        partitions=tuple(sorted(window.partitions)),
        checkpoint=window.checkpoint,
        gap=gap,
    )


def _begin(stream: KinesisStream, shard: Shard, landing: Landing) -> tuple[Checkpoint, Gap | None]:
    """Return the checkpoint from which to read, and the gap after it, if any."""
    held = stream.retention(landing.lake.now())
    horizon, created = held.horizon, held.created
    checkpoints = settled_checkpoints(stream, landing.lake, landing.source, created)
    own = checkpoints.get(shard.id)
    since = own.read_until if own else unread_since(shard.parents, checkpoints)
    checkpoint = own or Checkpoint(shard=shard.id, stream_created=created)
    if since is None or since >= horizon:
        return checkpoint, None
    gap = Gap(since=since, until=horizon)
    warn_of_gap(stream.name, shard.id, gap)
    # Every record up to the horizon is now read or known to be lost.
    passed = {"read_until": horizon, "at_tip": False, "gaps": (*checkpoint.gaps, gap)}
    return advance(landing.lake, landing.source, checkpoint.model_copy(update=passed)), gap


@dataclass
class _Window:
    """One read of a shard: the records that it holds, and what it has landed. ``checkpoint`` is the one in the lake."""

    shard: Shard
    read: Read
    landing: Landing
    pool: ThreadPoolExecutor
    on_flush: Callable[[Flush], None]
    checkpoint: Checkpoint
    records: int = 0
    bytes: int = 0
    flushes: int = 0
    parts: int = 0
    partitions: set[Partition] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._writer = Parts(self.landing, self.pool)
        self._reached = self.checkpoint
        self._clear()

    def _clear(self) -> None:
        self._held: list[Record] = []
        self._held_messages, self._received_bytes, self._held_characters = 0, 0, 0
        self._held_since = time.monotonic()

    def take(self, batch: ShardBatch) -> None:
        """Hold the records of a batch. Flush once they fill a part or are a minute old."""
        if not self._held:
            self._held_since = time.monotonic()
        size = sum(len(record["Data"]) for record in batch.records)
        records = [each for record in batch.records for each in self.read(record, self.shard.id)]
        self._held += records
        self._held_messages += len(batch.records)
        self._received_bytes += size
        self._held_characters += sum(record.characters for record in records)
        self.records += len(batch.records)
        self.bytes += size
        self._reached = self._after(batch, records)
        if (
            len(self._held) >= FLUSH_MESSAGES
            or self._held_characters >= FLUSH_BYTES
            or (self._held and time.monotonic() - self._held_since >= _FLUSH_SECONDS)
        ):
            self.flush()

    def _after(self, batch: ShardBatch, records: Sequence[Record]) -> Checkpoint:
        read_until: datetime | None = batch.read_until
        if batch.ended or not self.shard.is_open:
            # Its children received records before it was read to its end. So only its own records bound the moment.
            read_until = latest([self._reached.read_until, *(record.sent_at for record in records)])
        return Checkpoint(
            shard=self.shard.id,
            stream_created=self._reached.stream_created,
            sequence_number=batch.records[-1]["SequenceNumber"] if records else self._reached.sequence_number,
            read_until=read_until,
            at_tip=batch.at_tip,
            times=self._reached.times,
            ended=batch.ended,
        )

    def flush(self) -> None:
        """Write the held records, then move the checkpoint past them."""
        started, held = time.monotonic(), self._held
        if held:
            partitions = self._writer.land(held)
            self.flushes += 1
            self.parts += len(partitions)
            self.partitions.update(partitions)
            times = last_times(self._reached.times, [middle_time(held)])
            self._reached = self._reached.model_copy(update={"times": times})
        self.checkpoint = advance(self.landing.lake, self.landing.source, self._reached)
        if held:
            oldest = min(record.sent_at for record in held)
            self.on_flush(
                Flush(
                    messages=self._held_messages,
                    bytes=self._received_bytes,
                    parts=len(partitions),
                    seconds=time.monotonic() - started,
                    lag_seconds=(self.landing.lake.now() - oldest).total_seconds(),
                )
            )
        self._clear()


def place_of(checkpoint: Checkpoint | None) -> Place:
    """Return the place at which a read continues."""
    return Place(after=checkpoint.sequence_number if checkpoint else None)


def warn_of_gap(stream: str, shard: str, gap: Gap) -> None:
    """Log a gap, with the next action.

    Args:
        stream: The name of the stream at AWS.
        shard: The id of the shard.
        gap: The time range whose records were trimmed.
    """
    _LOG.warning(
        "stream %s, shard %s: records that arrived from %s to %s were trimmed before they were read; have them sent "
        "again, and give the stream a longer retention",
        *(stream, shard, gap.since.isoformat(), gap.until.isoformat()),
    )
