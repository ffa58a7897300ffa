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
from sluice.manifests import File, InlinePart, Manifest, earliest, latest
from sluice.partitions import Partition
from sluice.pipeline import Grain

# A part below both is rolled up with the next of its partition: a queue of few groups gives ten messages at a time.
SMALL_ROWS = 100
_SMALL_CHARACTERS = 256 * 1024
_REMEMBERED = 64  # partitions


def land(records: Iterable[Record], lake: Lake, source: str, every: Grain, pool: Executor) -> list[Partition]:
    """Land ``records`` once; see :meth:`Parts.land`."""
    return Parts(lake, source, every, pool).land(list(records))


def without_inline(lake: Lake, manifest: Manifest) -> Manifest:
    """The manifest with its inline part, if any, as an object like the others, which this writes."""
    part = manifest.inline
    if part is None:
        return manifest
    others = [file for file in manifest.files if file.key != part.key]
    return manifest.model_copy(
        update={"files": _sorted((*others, lake.put(part.key, part.body, part.rows))), "inline": None}
    )


@dataclass(frozen=True)
class _Tail:
    """What was last written to a partition: its manifest, and key and records of the part if that is small."""

    stored: Stored[Manifest]
    key: str | None
    small: Sequence[Record]


class Parts:
    """Lands the records of one source, flush by flush.

    Of the partitions written last it remembers the manifest, which saves a read for each flush, and a small part, so
    that the next flush writes one part of both: small files stay few, and manifests short. A part that was rolled up
    stays in the bucket, as all parts do; the manifest no longer lists it.
    """

    def __init__(self, lake: Lake, source: str, every: Grain, pool: Executor) -> None:
        self._lake, self._dataset, self._every, self._pool = lake, raw_dataset(source), every, pool
        self._tails: dict[Partition, _Tail] = {}

    def land(self, records: Sequence[Record], *, inline: bool = False) -> list[Partition]:
        """Write and record the parts of ``records``, partitions side by side; returns their partitions.

        With ``inline`` a small part is written into the manifest, which takes one put instead of two, in the one case
        where a put more is felt: a single group gives ten messages, and nothing more until they are deleted. Who lands
        so calls :meth:`settle` in the end; if it is killed before, closing does what that does.

        Raises:
            ConflictingWrite: a manifest could not be written against other writers.
        """
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        side_by_side = map if len(by_partition) == 1 else self._pool.map  # a thread more would only cost time
        tails = side_by_side(partial(self._land, inline), by_partition, by_partition.values())
        for partition, tail in zip(by_partition, tails, strict=True):
            self._tails.pop(partition, None)
            if tail is not None:
                self._tails[partition] = tail
        self._forget_all_but(_REMEMBERED)
        return list(by_partition)

    def settle(self) -> None:
        """Write what stands inline in a manifest as an object of its own."""
        self._forget_all_but(0)

    def _forget_all_but(self, most: int) -> None:
        forgotten = list(self._tails)[: max(0, len(self._tails) - most)]
        list(self._pool.map(self._settle, forgotten, [self._tails.pop(partition) for partition in forgotten]))

    def _settle(self, partition: Partition, tail: _Tail) -> None:
        def change(before: Manifest | None) -> Manifest:
            return without_inline(self._lake, before or self._empty(partition))

        stands = tail.stored.value
        if stands is not None and stands.inline is not None:
            self._lake.update_manifest(self._dataset, partition, change)

    def _land(self, inline: bool, partition: Partition, records: Sequence[Record]) -> _Tail | None:
        tail = self._tails.get(partition)
        together = [*(tail.small if tail else ()), *records]
        name, body = part_bytes(together)
        part = InlinePart(key=self._lake.key(self._dataset, partition.key, name), rows=len(together), body=body)
        manifest_key = self._lake.manifest_key(self._dataset, partition)
        before = tail.stored if tail else self._lake.stored(manifest_key, Manifest)
        change = partial(self._with_part, partition, together, tail.key if tail else None)
        small = _is_small(together)
        try:
            stands_inline = inline and small and _takes_inline(before.value, tail)
            after = change(part if stands_inline else self._put(part), before.value)
            stored = self._lake.replace(manifest_key, before, after)
        except ConflictingWrite:
            self._lake.update_manifest(self._dataset, partition, partial(change, self._put(part)))
            return None
        return _Tail(stored, part.key if small else None, together if small else ())

    def _put(self, part: InlinePart) -> File:
        return self._lake.put(part.key, part.body, part.rows)

    def _with_part(
        self,
        partition: Partition,
        records: Sequence[Record],
        rolled_up: str | None,
        part: File | InlinePart,
        before: Manifest | None,
    ) -> Manifest:
        """The manifest with this part. In a closed partition that is late data: the revision goes up."""
        manifest = before or self._empty(partition)
        if part.key in {file.key for file in manifest.files}:
            return manifest  # the name holds the digest of the content
        files = [file for file in manifest.files if file.key != rolled_up]
        inline = manifest.inline
        if inline is not None and inline.key in {rolled_up, part.key}:
            inline = None
        if isinstance(part, InlinePart):
            inline = part
        else:
            files.append(part)
        rows = sum(file.rows for file in files) + (inline.rows if inline else 0)
        # Only a time that the producer gave may move the watermark.
        times = [record.event_time for record in records if record.event_time_from == "body"]
        return manifest.model_copy(
            update={
                "files": _sorted(files),
                "inline": inline,
                "revision": manifest.revision + (manifest.state == "closed"),
                "rows_in": rows,
                "rows_out": rows,
                "first_event_time": earliest([manifest.first_event_time, *times]),
                "last_event_time": latest([manifest.last_event_time, *times]),
                "written_at": self._lake.now(),
            }
        )

    def _empty(self, partition: Partition) -> Manifest:
        return Manifest(dataset=self._dataset, partition=partition.key, state="open", written_at=self._lake.now())


def _takes_inline(manifest: Manifest | None, tail: _Tail | None) -> bool:
    """A closed partition has no inline part, and nobody replaces that of another writer."""
    if manifest is None:
        return True
    own = manifest.inline is None or (tail is not None and manifest.inline.key == tail.key)
    return manifest.state == "open" and own


def _is_small(records: Sequence[Record]) -> bool:
    return len(records) < SMALL_ROWS and sum(len(record.body) for record in records) < _SMALL_CHARACTERS


def _sorted(files: Iterable[File]) -> tuple[File, ...]:
    return tuple(sorted(files, key=lambda file: file.key))
