"""Makes records durable: one raw part per partition that they touch, each recorded in its manifest.

What a source may be told that it is done with is what :meth:`Parts.land` has returned for (P1).
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

# What is worth a part, and as much as may wait while it is written.
FLUSH_MESSAGES = 5_000
FLUSH_BYTES = 32 * 1024 * 1024
# Below both, records stand in the manifest.
_SMALL_ROWS = 100
_SMALL_CHARACTERS = 256 * 1024
_REMEMBERED = 64  # partitions


@dataclass(frozen=True)
class Flush:
    """One flush: what became durable and was acknowledged. ``bytes`` are of bodies, ``parts`` one per partition.

    ``lag_seconds`` is the age of the oldest message when the flush was done. Of a queue, ``redelivered`` were received
    before, and ``expired`` could not be deleted, as their receipts were too old: they come again.
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
    """Where one drain of a source ends, whatever waits there: it asks for nothing more once it has reached one of them.

    ``messages`` is kept to the message; ``bytes`` (of bodies) and ``seconds`` may be passed by what was under way.
    """

    messages: int = 100_000
    bytes: int = 1_000_000_000
    seconds: float = 600


@dataclass(frozen=True)
class Landed:
    """What one drain of a source did. ``bytes`` are of bodies."""

    messages: int
    bytes: int
    flushes: int
    parts: int
    partitions: tuple[Partition, ...]


def without_inline(lake: Lake, manifest: Manifest) -> Manifest:
    """The manifest with its inline records, if any, in a part like the others, which this writes."""
    if not manifest.inline:
        return manifest
    part = _put_part(lake, manifest, inline_records(manifest))
    return manifest.model_copy(update={"files": _sorted((*manifest.files, part)), "inline": ()})


def inline_records(manifest: Manifest | None) -> Sequence[Record]:
    """The records that stand in a manifest."""
    return [record_from_json(text) for text in manifest.inline] if manifest else ()


@dataclass(frozen=True)
class _Tail:
    """A partition as it was left: its manifest, and the records that stand in it."""

    stored: Stored[Manifest]
    inline: Sequence[Record]


class Parts:
    """Lands the records of one source, flush by flush.

    What is too little for an object stands in the manifest of its open partition, until more comes or the partition
    closes: so a single group, which gives ten messages and nothing more until they are deleted, takes one put a flush
    instead of two, and small files stay few. Of the partitions written last the manifests are remembered, which saves
    a read for each flush.
    """

    def __init__(self, landing: Landing, pool: Executor) -> None:
        self._lake, self._dataset, self._every, self._pool = landing.lake, landing.dataset, landing.every, pool
        self._tails: dict[Partition, _Tail] = {}

    def land(self, records: Iterable[Record]) -> list[Partition]:
        """Write and record ``records``, partitions side by side; returns their partitions.

        Raises:
            ConflictingWrite: a manifest could not be written against other writers.
        """
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        side_by_side = map if len(by_partition) == 1 else self._pool.map  # a thread more would only cost time
        tails = list(side_by_side(self._land, by_partition, by_partition.values()))
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
        """The manifest with these records as well: ``inline`` are those that stand in it.

        In a closed partition that is late data: the revision goes up.
        """
        now = self._lake.now()
        manifest = before or Manifest(dataset=self._dataset, partition=partition.key, state="open", written_at=now)
        together = [*inline, *records]
        # Only a time that the producer gave may move the watermark.
        times = [record.event_time for record in records if record.event_time_from == "body"]
        told = {
            "revision": manifest.revision + (manifest.state == "closed"),
            "first_event_time": earliest([manifest.first_event_time, *times]),
            "last_event_time": latest([manifest.last_event_time, *times]),
            "written_at": now,
        }
        if manifest.state == "open" and _is_small(together):
            held = (*manifest.inline, *map(record_json, records))
            rows = manifest.rows_in + len(records)
            return manifest.model_copy(update={**told, "inline": held, "rows_in": rows, "rows_out": rows})
        files = _sorted((*manifest.files, _put_part(self._lake, manifest, together)))
        rows = sum(file.rows for file in files)
        return manifest.model_copy(update={**told, "files": files, "inline": (), "rows_in": rows, "rows_out": rows})


def _put_part(lake: Lake, manifest: Manifest, records: Sequence[Record]) -> File:
    name, body = part_bytes(records)
    return lake.put(lake.layout.raw_part(manifest.dataset, manifest.time_partition, name), body, len(records))


def _is_small(records: Sequence[Record]) -> bool:
    return len(records) < _SMALL_ROWS and sum(len(record.body) for record in records) < _SMALL_CHARACTERS


def _sorted(files: Iterable[File]) -> tuple[File, ...]:
    """By key, each once: the name holds the digest of the content."""
    by_key = {file.key: file for file in files}
    return tuple(by_key[key] for key in sorted(by_key))
