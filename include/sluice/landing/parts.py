"""Makes records durable: one raw part per partition that they touch, each recorded in its manifest.

What a source may be told that it is done with is what :meth:`Parts.land` has returned for (P1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from sluice.errors import ConflictingWrite
from sluice.lake import Lake, Stored, raw_dataset
from sluice.landing.records import Record, part_bytes
from sluice.manifests import File, Manifest, earliest, latest
from sluice.partitions import Partition
from sluice.pipeline import Grain

# A part below both is rolled up with the next of its partition: a queue of few groups gives ten messages at a time.
_SMALL_ROWS = 200
_SMALL_CHARACTERS = 256 * 1024
_REMEMBERED = 64  # partitions


def land(records: Iterable[Record], lake: Lake, source: str, every: Grain, pool: Executor) -> list[Partition]:
    """Land ``records`` once; see :meth:`Parts.land`."""
    return Parts(lake, source, every, pool).land(records)


@dataclass(frozen=True)
class _Tail:
    """What was last written to a partition: its manifest, and the records of the part ``key`` if that is small."""

    stored: Stored[Manifest]
    key: str
    small: tuple[Record, ...]


class Parts:
    """Lands the records of one source, flush by flush.

    Of the partitions written last it remembers the manifest, which saves a read for each flush, and a small part, so
    that the next flush writes one part of both: small files stay few, and manifests short. The part that was rolled up
    stays in the bucket, as all parts do; the manifest no longer lists it.
    """

    def __init__(self, lake: Lake, source: str, every: Grain, pool: Executor) -> None:
        self._lake, self._dataset, self._every, self._pool = lake, raw_dataset(source), every, pool
        self._tails: dict[Partition, _Tail] = {}

    def land(self, records: Iterable[Record]) -> list[Partition]:
        """Write and record the parts of ``records``, partitions side by side; returns their partitions.

        Raises:
            ConflictingWrite: a manifest could not be written against other writers.
        """
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        tails = self._pool.map(self._land, by_partition, by_partition.values())
        for partition, tail in zip(by_partition, tails, strict=True):
            self._tails.pop(partition, None)
            if tail is not None:
                self._tails[partition] = tail
        while len(self._tails) > _REMEMBERED:
            del self._tails[next(iter(self._tails))]
        return list(by_partition)

    def _land(self, partition: Partition, records: Sequence[Record]) -> _Tail | None:
        tail = self._tails.get(partition)
        together = [*(tail.small if tail else ()), *records]
        name, body = part_bytes(together)
        file = self._lake.put(self._lake.key(self._dataset, partition.key, name), body, rows=len(together))
        change = partial(self._with_part, partition, file, tail.key if tail and tail.small else None, together)
        key = self._lake.manifest_key(self._dataset, partition)
        before = tail.stored if tail else self._lake.stored(key, Manifest)
        try:
            stored = self._lake.replace(key, before, change(before.value))
        except ConflictingWrite:
            self._lake.update_manifest(self._dataset, partition, change)
            return None
        return _Tail(stored, file.key, tuple(together) if _is_small(together) else ())

    def _with_part(
        self,
        partition: Partition,
        file: File,
        rolled_up: str | None,
        records: Sequence[Record],
        before: Manifest | None,
    ) -> Manifest:
        """The manifest with this part. In a closed partition that is late data: the revision goes up."""
        now = self._lake.now()
        manifest = before or Manifest(dataset=self._dataset, partition=partition.key, state="open", written_at=now)
        if file.key in {part.key for part in manifest.files}:
            return manifest  # the name holds the digest of the content
        files = [part for part in manifest.files if part.key != rolled_up] + [file]
        rows = sum(part.rows for part in files)
        # Only a time that the producer gave may move the watermark.
        times = [record.event_time for record in records if record.event_time_from == "body"]
        return manifest.model_copy(
            update={
                "files": tuple(sorted(files, key=lambda part: part.key)),
                "revision": manifest.revision + (manifest.state == "closed"),
                "rows_in": rows,
                "rows_out": rows,
                "first_event_time": earliest([manifest.first_event_time, *times]),
                "last_event_time": latest([manifest.last_event_time, *times]),
                "written_at": now,
            }
        )


def _is_small(records: Sequence[Record]) -> bool:
    return len(records) < _SMALL_ROWS and sum(len(record.body) for record in records) < _SMALL_CHARACTERS
