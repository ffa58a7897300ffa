"""Makes records durable: one raw part for each partition that they touch, recorded in its manifest.

Once :meth:`Parts.land` has returned, the records are durable and may be acknowledged (P1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from sluice.errors import ConflictingWrite
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import File, Manifest, earliest, latest
from sluice.lake.objects import Stored
from sluice.lake.partitions import Partition
from sluice.lake.pending import expect, next_revision
from sluice.lake.store import Lake
from sluice.records.record import Record, part_bytes, record_from_json, record_json

# A flush begins at this size. At most as much more is held while a part is written.
FLUSH_MESSAGES = 5_000
FLUSH_BYTES = 32 * 1024 * 1024
# Records below both limits are stored in the manifest.
_SMALL_ROWS = 100
_SMALL_CHARACTERS = 256 * 1024
_CACHED_PARTITIONS = 64


@dataclass(frozen=True)
class Flush:
    """One flush: the messages that became durable and were acknowledged together.

    Attributes:
        messages: The number of messages.
        bytes: The size of their bodies, and of the attributes of a queue's messages.
        parts: The number of parts written, one for each partition.
        seconds: How long the flush took.
        lag_seconds: The age of the oldest message at the end of the flush.
        redelivered: How many messages of a queue had been received before.
        expired: How many messages of a queue were not deleted, because their receipts had expired. They will be
            received again.
        middle_time: The event time (UTC) that half of the events have reached; None if none has a time of its own.
    """

    messages: int
    bytes: int
    parts: int
    seconds: float
    lag_seconds: float
    redelivered: int = 0
    expired: int = 0
    middle_time: datetime | None = None


@dataclass(frozen=True)
class Landing:
    """Where the records of one source land.

    Args:
        lake: The lake of the pipeline.
        source: The name of the source.
    """

    lake: Lake
    source: str

    @property
    def dataset(self) -> str:
        """The raw dataset of the source."""
        return raw_dataset(self.source)


@dataclass(frozen=True)
class Limits:
    """The limits of one drain of a source. At the first limit it stops receiving, even if more waits.

    Attributes:
        messages: The most messages; exact.
        bytes: The most bytes of bodies, and of the attributes of a queue's messages. Calls in progress may exceed it.
        seconds: The longest time in seconds. Calls in progress may exceed it.
    """

    messages: int = 100_000
    bytes: int = 1_000_000_000
    seconds: float = 600


@dataclass(frozen=True)
class Landed:
    """The result of one drain of a source.

    Attributes:
        messages: The number of messages.
        bytes: The size of their bodies, and of the attributes of a queue's messages.
        flushes: The number of flushes.
        parts: The number of parts written.
        partitions: The partitions that got records, in order.
    """

    messages: int
    bytes: int
    flushes: int
    parts: int
    partitions: tuple[Partition, ...]


def without_inline(lake: Lake, manifest: Manifest) -> Manifest:
    """Move the inline records of a manifest, if any, to a part.

    Args:
        lake: The lake, which gets the part.
        manifest: The manifest, which is not changed in the lake.

    Returns:
        The manifest to write.
    """
    if not manifest.inline:
        return manifest
    part = _put_part(lake, manifest, inline_records(manifest))
    return manifest.model_copy(update={"files": _sorted((*manifest.files, part)), "inline": ()})


def inline_records(manifest: Manifest | None) -> Sequence[Record]:
    """Return the records that are stored in a manifest."""
    return [record_from_json(text) for text in manifest.inline] if manifest else ()


@dataclass(frozen=True)
class _Tail:
    """A partition after its last flush: its manifest, and the records that are stored in it."""

    stored: Stored[Manifest]
    inline: Sequence[Record]


class Parts:
    """Lands the records of one source, flush by flush.

    A few records are stored in the manifest of their partition, until there are enough for an object or the partition
    closes. So are those that come late. This keeps small files few. It also saves a hot FIFO group one of two puts: SQS
    returns ten messages of a group, and no more until they are deleted. The manifests of the partitions written last
    are cached, which saves a read for each flush.

    Args:
        landing: Where the records land.
        pool: Writes partitions in parallel.
    """

    def __init__(self, landing: Landing, pool: Executor) -> None:
        self._lake, self._source, self._pool = landing.lake, landing.source, pool
        self._dataset = landing.dataset
        self._tails: dict[Partition, _Tail] = {}

    def land(self, records: Iterable[Record]) -> list[Partition]:
        """Write and record ``records``, partitions in parallel, and return their partitions.

        Raises:
            ConflictingWrite: other writers kept changing a manifest.
            DeclarationError: the lake is divided otherwise than the pipeline declares.
        """
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._lake.calendar)].append(record)
        in_parallel = map if len(by_partition) == 1 else self._pool.map  # one partition gains nothing from a thread
        self._tails.update(zip(by_partition, in_parallel(self._tail, by_partition), strict=True))
        self._expect({partition: self._tails[partition].stored.value for partition in by_partition})
        tails = list(in_parallel(self._land, by_partition, by_partition.values()))
        for partition, tail in zip(by_partition, tails, strict=True):
            self._tails.pop(partition, None)
            if tail is not None:
                self._tails[partition] = tail
        for oldest in list(self._tails)[:-_CACHED_PARTITIONS]:
            del self._tails[oldest]
        return list(by_partition)

    def _tail(self, partition: Partition) -> _Tail:
        found = self._tails.get(partition)
        if found is not None:
            return found
        stored = self._lake.stored(self._lake.layout.manifest(self._dataset, partition), Manifest)
        return _Tail(stored, inline_records(stored.value))

    def _expect(self, manifests: Mapping[Partition, Manifest | None]) -> None:
        """Put partitions on the list of what is pending. An open one is there already."""
        changed = {each: before for each, before in manifests.items() if before is None or before.state != "open"}
        if changed:
            expect(self._lake, self._source, {each: next_revision(before) for each, before in changed.items()})

    def _land(self, partition: Partition, records: Sequence[Record]) -> _Tail | None:
        key = self._lake.layout.manifest(self._dataset, partition)
        tail = self._tails[partition]
        self._lake.begin(self._dataset, partition, tail.stored.value)
        try:
            after = self._with_records(partition, records, tail.stored.value, tail.inline)
            stored = self._lake.replace(key, tail.stored, after)
            return _Tail(stored, [*tail.inline, *records] if after.inline else ())
        except ConflictingWrite:

            def change(before: Manifest | None) -> Manifest:
                self._expect({partition: before})
                return self._with_records(partition, records, before, inline_records(before))

            self._lake.update(key, Manifest, change)
            return None

    def _with_records(
        self, partition: Partition, records: Sequence[Record], before: Manifest | None, inline: Sequence[Record]
    ) -> Manifest:
        """Return the manifest with these records added; ``inline`` are those that it already stores.

        In a closed partition they are late data, so the revision goes up.
        """
        now, zone = self._lake.now(), self._lake.calendar.zone
        manifest = before or Manifest(
            dataset=self._dataset, partition=partition.key, zone=zone, state="open", written_at=now
        )
        together = [*inline, *records]
        # Only an event time from the body may move the watermark.
        times = [record.event_time for record in records if record.event_time_from == "body"]
        described = {
            "revision": manifest.revision + (manifest.state == "closed"),
            "first_event_time": earliest([manifest.first_event_time, *times]),
            "last_event_time": latest([manifest.last_event_time, *times]),
            "written_at": now,
        }
        if _is_small(together):
            stored = (*manifest.inline, *map(record_json, records))
            rows = manifest.rows_in + len(records)
            return manifest.model_copy(update={**described, "inline": stored, "rows_in": rows, "rows_out": rows})
        files = _sorted((*manifest.files, _put_part(self._lake, manifest, together)))
        rows = sum(file.rows for file in files)
        return manifest.model_copy(
            update={**described, "files": files, "inline": (), "rows_in": rows, "rows_out": rows}
        )


def _put_part(lake: Lake, manifest: Manifest, records: Sequence[Record]) -> File:
    name, body = part_bytes(records)
    return lake.put(
        lake.layout.raw_part(manifest.dataset, manifest.time_partition(lake.calendar), name), body, len(records)
    )


def _is_small(records: Sequence[Record]) -> bool:
    return len(records) < _SMALL_ROWS and sum(record.characters for record in records) < _SMALL_CHARACTERS


def _sorted(files: Iterable[File]) -> tuple[File, ...]:
    """Return the files by key, each once: the name contains the digest of the content."""
    by_key = {file.key: file for file in files}
    return tuple(by_key[key] for key in sorted(by_key))
