"""Lands only what is missing: records that their partition does not hold."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq

from sluice.errors import MissingResource
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.landing.parts import Landing, Parts, inline_records
from sluice.records.record import Record, part_bytes

_WRITERS = 8
_HELD_RECORDS = 20_000
_HELD_CHARACTERS = 64 * 1024 * 1024
_REMEMBERED = 2_000_000  # records, by 16 bytes each
# Two records with equal members are the same, though SQS may have delivered the message several times.
_IDENTITY = ("message_id", "event_id", "group", "sequence_number", "event_time", "event_time_from")


def land_missing(batches: Iterable[Sequence[Record]], landing: Landing) -> int:
    """Land those records that are not in their raw partition, each once.

    Memory is bounded, however many batches there are. If nothing is missing, nothing is written.

    Returns:
        The number of records that landed.

    Raises:
        MissingResource: a part that a manifest names is gone.
        ConflictingWrite: a manifest could not be written against other writers.
    """
    landed, missing = 0, _Missing(landing)
    with ThreadPoolExecutor(_WRITERS) as pool:
        parts = Parts(landing, pool)
        for held in _gathered(batches):
            if found := missing.of(held):
                parts.land(found)
            landed += len(found)
    return landed


def _gathered(batches: Iterable[Sequence[Record]]) -> Iterator[list[Record]]:
    """Merge batches until they are large enough for parts."""
    held: list[Record] = []
    characters = 0
    for batch in batches:
        held += batch
        characters += sum(len(record.body) for record in batch)
        if len(held) >= _HELD_RECORDS or characters >= _HELD_CHARACTERS:
            yield held
            held, characters = [], 0
    yield held


class _Missing:
    """Finds missing records. It caches the partitions used last, up to a number of records."""

    def __init__(self, landing: Landing) -> None:
        self._lake, self._dataset, self._every = landing.lake, landing.dataset, landing.every
        self._known: dict[Partition, set[bytes]] = {}

    def of(self, records: Iterable[Record]) -> list[Record]:
        """Those that are missing, each once. From then on they count as present."""
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        found: list[Record] = []
        for partition in sorted(by_partition):
            there = self._there(partition)
            for record in by_partition[partition]:
                digest = _digest([getattr(record, member) for member in _IDENTITY])
                if digest not in there:
                    there.add(digest)
                    found.append(record)
        return found

    def _there(self, partition: Partition) -> set[bytes]:
        if partition not in self._known:
            read = self._read(partition)
            while self._known and sum(map(len, self._known.values())) + len(read) > _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[partition] = read
        return self._known[partition]

    def _read(self, partition: Partition) -> set[bytes]:
        manifest = self._lake.manifest(self._dataset, partition)
        there: set[bytes] = set()
        for body in recorded_parts(self._lake, manifest) if manifest else ():
            table = pq.read_table(io.BytesIO(body), columns=list(_IDENTITY))
            there.update(map(_digest, zip(*(table[name].to_pylist() for name in _IDENTITY), strict=True)))
        return there


def recorded_parts(lake: Lake, manifest: Manifest) -> Iterator[bytes]:
    """Yield the bytes of each raw part that a manifest records, and of one part made of its inline records.

    Raises:
        MissingResource: a part is gone.
    """
    for file in manifest.files:
        body = lake.read(file.key)
        if body is None:
            raise MissingResource(
                f"{lake.uri(file.key)} is gone, but its manifest names it; restore it, or remove "
                f"{lake.layout.manifest(manifest.dataset, manifest.time_partition)} as well and replay from the stream"
            )
        yield body
    if manifest.inline:
        yield part_bytes(inline_records(manifest))[1]


def _digest(identity: Iterable[object]) -> bytes:
    return hashlib.blake2b("\n".join(repr(str(member)) for member in identity).encode(), digest_size=16).digest()
