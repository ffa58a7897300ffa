"""Makes records durable: one raw part per partition that they touch, each recorded in its manifest.

What a source may be told that it is done with is what :meth:`Parts.land` has returned for (P1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sluice.errors import ConflictingWrite
from sluice.lake import Lake, Stored, raw_dataset
from sluice.landing.records import Record, part_bytes, read_records
from sluice.manifests import File, InlinePart, Manifest, earliest, latest
from sluice.partitions import Partition
from sluice.pipeline import Grain

# Below both, a part stands in the manifest.
_SMALL_ROWS = 100
_SMALL_CHARACTERS = 256 * 1024
_REMEMBERED = 64  # partitions


def without_inline(lake: Lake, manifest: Manifest) -> Manifest:
    """The manifest with its inline part, if any, as an object like the others, which this writes."""
    part = manifest.inline
    if part is None:
        return manifest
    files = (*manifest.files, lake.put(part.key, part.body, part.rows))
    return manifest.model_copy(update={"files": _sorted(files), "inline": None})


@dataclass(frozen=True)
class _Tail:
    """A partition as it was left: its manifest, and the records of the part that stands in it."""

    stored: Stored[Manifest]
    inline: Sequence[Record]


class Parts:
    """Lands the records of one source, flush by flush.

    What is too little for an object stands in the manifest of its open partition, until more comes or the partition
    closes: so a single group, which gives ten messages and nothing more until they are deleted, takes one put a flush
    instead of two, and small files stay few. Of the partitions written last the manifests are remembered, which saves
    a read for each flush.
    """

    def __init__(self, lake: Lake, source: str, every: Grain, pool: Executor) -> None:
        self._lake, self._dataset, self._every, self._pool = lake, raw_dataset(source), every, pool
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
        key = self._lake.manifest_key(self._dataset, partition)
        tail = self._tails.get(partition) or _tail_of(self._lake.stored(key, Manifest))
        together = [*tail.inline, *records]
        try:
            after = self._with_part(partition, tail.stored.value, together)
            return _Tail(self._lake.replace(key, tail.stored, after), together if after.inline else ())
        except ConflictingWrite:

            def change(before: Manifest | None) -> Manifest:
                return self._with_part(partition, before, [*_inline_records(before), *records])

            self._lake.update(key, Manifest, change)
            return None

    def _with_part(self, partition: Partition, before: Manifest | None, records: Sequence[Record]) -> Manifest:
        """The manifest with a part of these records, those of its inline part among them.

        In a closed partition that is late data: the revision goes up.
        """
        now = self._lake.now()
        manifest = before or Manifest(dataset=self._dataset, partition=partition.key, state="open", written_at=now)
        name, body = part_bytes(records)
        part = InlinePart(key=self._lake.key(self._dataset, partition.key, name), rows=len(records), body=body)
        stands_inline = manifest.state == "open" and _is_small(records)
        files = manifest.files if stands_inline else (*manifest.files, self._lake.put(part.key, body, part.rows))
        rows = sum(file.rows for file in files) + (part.rows if stands_inline else 0)
        # Only a time that the producer gave may move the watermark.
        times = [record.event_time for record in records if record.event_time_from == "body"]
        return manifest.model_copy(
            update={
                "files": _sorted(files),
                "inline": part if stands_inline else None,
                "revision": manifest.revision + (manifest.state == "closed"),
                "rows_in": rows,
                "rows_out": rows,
                "first_event_time": earliest([manifest.first_event_time, *times]),
                "last_event_time": latest([manifest.last_event_time, *times]),
                "written_at": now,
            }
        )


def _tail_of(stored: Stored[Manifest]) -> _Tail:
    return _Tail(stored, _inline_records(stored.value))


def _inline_records(manifest: Manifest | None) -> Sequence[Record]:
    return read_records(manifest.inline.body) if manifest and manifest.inline else ()


def _is_small(records: Sequence[Record]) -> bool:
    return len(records) < _SMALL_ROWS and sum(len(record.body) for record in records) < _SMALL_CHARACTERS


def _sorted(files: Iterable[File]) -> tuple[File, ...]:
    """By key, each once: the name holds the digest of the content."""
    by_key = {file.key: file for file in files}
    return tuple(by_key[key] for key in sorted(by_key))
