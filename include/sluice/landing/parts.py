"""Makes records durable: one raw part for each partition that they touch, recorded in its manifest.

Once :meth:`Parts.land` has returned, the records are durable and may be acknowledged (P1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sluice.errors import ConflictingWrite
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import File, Manifest, earliest, latest
from sluice.lake.partitions import Grain, Partition
from sluice.lake.store import Lake, Stored
from sluice.records.record import Record, part_bytes, record_from_json, record_json

# The size of a part, and the most that may wait while one is written.
FLUSH_MESSAGES = 5_000
FLUSH_BYTES = 32 * 1024 * 1024
# Below both, records are stored in the manifest.
_SMALL_ROWS = 100
_SMALL_CHARACTERS = 256 * 1024
_REMEMBERED = 64  # partitions


@dataclass(frozen=True)
class Flush:
    """One flush: what became durable and was acknowledged.

    ``bytes`` counts bodies; ``parts`` is one per partition. ``lag_seconds`` is the age of the oldest message at the end
    of the flush. For a queue, ``redelivered`` messages were received before. ``expired`` messages could not be deleted
    because their receipts were too old: they come again.
    """

    messages: int
    bytes: int
    parts: int
    seconds: float
    lag_seconds: float
    redelivered: int = 0
    expired: int = 0


@dataclass(frozen=True)
class Landing:
    """Where the records of one source land: its raw dataset, in partitions of length ``every``."""

    lake: Lake
    source: str
    every: Grain

    @property
    def dataset(self) -> str:
        return raw_dataset(self.source)


@dataclass(frozen=True)
class Limits:
    """The limits of one drain of a source: at the first of them it stops receiving, whatever the backlog.

    ``messages`` is exact. ``bytes`` (of bodies) and ``seconds`` may be exceeded by calls that were in progress.
    """

    messages: int = 100_000
    bytes: int = 1_000_000_000
    seconds: float = 600


@dataclass(frozen=True)
class Landed:
    """The result of one drain of a source. ``bytes`` counts bodies."""

    messages: int
    bytes: int
    flushes: int
    parts: int
    partitions: tuple[Partition, ...]


def without_inline(lake: Lake, manifest: Manifest) -> Manifest:
    """The manifest with its inline records, if any, moved to a part, which this writes."""
    if not manifest.inline:
        return manifest
    part = _put_part(lake, manifest, inline_records(manifest))
    return manifest.model_copy(update={"files": _sorted((*manifest.files, part)), "inline": ()})


def inline_records(manifest: Manifest | None) -> Sequence[Record]:
    """The records that are stored in a manifest."""
    return [record_from_json(text) for text in manifest.inline] if manifest else ()


@dataclass(frozen=True)
class _Tail:
    """A partition after its last flush: its manifest, and the records that are stored in it."""

    stored: Stored[Manifest]
    inline: Sequence[Record]


class Parts:
    """Lands the records of one source, flush by flush.

    Records too few for an object are stored in the manifest of their open partition until more arrive or the partition
    closes. A FIFO group gives ten messages and no more until they are deleted, so this saves it one of two puts, and
    keeps small files few. The manifests of the partitions written last are cached, which saves a read for each flush.
    """

    def __init__(self, landing: Landing, pool: Executor) -> None:
        self._lake, self._dataset, self._every, self._pool = landing.lake, landing.dataset, landing.every, pool
        self._tails: dict[Partition, _Tail] = {}

    def land(self, records: Iterable[Record]) -> list[Partition]:
        """Write and record ``records``, partitions in parallel; return their partitions.

        Raises:
            ConflictingWrite: a manifest could not be written against other writers.
        """
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        run = map if len(by_partition) == 1 else self._pool.map  # for one partition, another thread only costs time
        tails = list(run(self._land, by_partition, by_partition.values()))
        for partition, tail in zip(by_partition, tails, strict=True):
            self._tails.pop(partition, None)
            if tail is not None:
                self._tails[partition] = tail
        for forgotten in list(self._tails)[:-_REMEMBERED]:
            del self._tails[forgotten]
        return list(by_partition)

    def _land(self, partition: Partition, records: Sequence[Record]) -> _Tail | None:
        key = self._lake.layout.manifest(self._dataset, partition)
        tail = self._tails.get(partition)
        if tail is None:
            stored = self._lake.stored(key, Manifest)
            tail = _Tail(stored, inline_records(stored.value))
        try:
            after = self._with_records(partition, records, tail.stored.value, tail.inline)
            stored = self._lake.replace(key, tail.stored, after)
            return _Tail(stored, [*tail.inline, *records] if after.inline else ())
        except ConflictingWrite:

            def change(before: Manifest | None) -> Manifest:
                return self._with_records(partition, records, before, inline_records(before))

            self._lake.update(key, Manifest, change)
            return None

    def _with_records(
        self, partition: Partition, records: Sequence[Record], before: Manifest | None, inline: Sequence[Record]
    ) -> Manifest:
        """The manifest with these records added; ``inline`` are those that it stores already.

        In a closed partition they are late data, so the revision goes up.
        """
        now = self._lake.now()
        manifest = before or Manifest(dataset=self._dataset, partition=partition.key, state="open", written_at=now)
        together = [*inline, *records]
        # Only an event time from the body may move the watermark.
        times = [record.event_time for record in records if record.event_time_from == "body"]
        described = {
            "revision": manifest.revision + (manifest.state == "closed"),
            "first_event_time": earliest([manifest.first_event_time, *times]),
            "last_event_time": latest([manifest.last_event_time, *times]),
            "written_at": now,
        }
        if manifest.state == "open" and _is_small(together):
            held = (*manifest.inline, *map(record_json, records))
            rows = manifest.rows_in + len(records)
            return manifest.model_copy(update={**described, "inline": held, "rows_in": rows, "rows_out": rows})
        files = _sorted((*manifest.files, _put_part(self._lake, manifest, together)))
        rows = sum(file.rows for file in files)
        return manifest.model_copy(
            update={**described, "files": files, "inline": (), "rows_in": rows, "rows_out": rows}
        )


def _put_part(lake: Lake, manifest: Manifest, records: Sequence[Record]) -> File:
    name, body = part_bytes(records)
    return lake.put(lake.layout.raw_part(manifest.dataset, manifest.time_partition, name), body, len(records))


def _is_small(records: Sequence[Record]) -> bool:
    return len(records) < _SMALL_ROWS and sum(len(record.body) for record in records) < _SMALL_CHARACTERS


def _sorted(files: Iterable[File]) -> tuple[File, ...]:
    """By key, each once: the name contains the digest of the content."""
    by_key = {file.key: file for file in files}
    return tuple(by_key[key] for key in sorted(by_key))
