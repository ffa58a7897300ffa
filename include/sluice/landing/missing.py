"""Lands the records that are missing in their partition, and no others."""

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
_BUFFERED_RECORDS = 20_000
_BUFFERED_CHARACTERS = 64 * 1024 * 1024
_CACHED_RECORDS = 2_000_000  # 16 bytes each
# Records that are equal in these members are the same message, which SQS may have delivered several times.
_IDENTITY = ("message_id", "event_id", "group", "sequence_number", "event_time", "event_time_from")


def land_missing(batches: Iterable[Sequence[Record]], landing: Landing) -> int:
    """Land the records that are not in their raw partition, each once.

    Memory is bounded for any number of batches. If nothing is missing, nothing is written.

    Args:
        batches: The records that should be in the lake.
        landing: Where they belong.

    Returns:
        The number of records that landed.

    Raises:
        MissingResource: a part that a manifest names is gone.
        ConflictingWrite: other writers kept changing a manifest.
    """
    landed, missing = 0, _Missing(landing)
    with ThreadPoolExecutor(_WRITERS) as pool:
        parts = Parts(landing, pool)
        for records in _merged(batches):
            if found := missing.among(records):
                parts.land(found)
            landed += len(found)
    return landed


def _merged(batches: Iterable[Sequence[Record]]) -> Iterator[list[Record]]:
    """Merge batches until they are large enough for parts."""
    buffer: list[Record] = []
    characters = 0
    for batch in batches:
        buffer += batch
        characters += sum(record.characters for record in batch)
        if len(buffer) >= _BUFFERED_RECORDS or characters >= _BUFFERED_CHARACTERS:
            yield buffer
            buffer, characters = [], 0
    yield buffer


class _Missing:
    """Finds missing records. It caches the partitions used last, up to a number of records."""

    def __init__(self, landing: Landing) -> None:
        self._lake, self._dataset, self._every = landing.lake, landing.dataset, landing.every
        self._known: dict[Partition, set[bytes]] = {}

    def among(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that are missing, each once. From then on they count as present."""
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        found: list[Record] = []
        for partition in sorted(by_partition):
            present = self._present(partition)
            for record in by_partition[partition]:
                digest = _digest([getattr(record, member) for member in _IDENTITY])
                if digest not in present:
                    present.add(digest)
                    found.append(record)
        return found

    def _present(self, partition: Partition) -> set[bytes]:
        if partition not in self._known:
            read = self._read(partition)
            while self._known and sum(map(len, self._known.values())) + len(read) > _CACHED_RECORDS:
                del self._known[next(iter(self._known))]
            self._known[partition] = read
        return self._known[partition]

    def _read(self, partition: Partition) -> set[bytes]:
        manifest = self._lake.manifest(self._dataset, partition)
        present: set[bytes] = set()
        for body in recorded_parts(self._lake, manifest) if manifest else ():
            table = pq.read_table(io.BytesIO(body), columns=list(_IDENTITY))
            present.update(map(_digest, zip(*(table[name].to_pylist() for name in _IDENTITY), strict=True)))
        return present


def recorded_parts(lake: Lake, manifest: Manifest) -> Iterator[bytes]:
    """Yield the bytes of each raw part that a manifest records, and of one part made of its inline records.

    Args:
        lake: The lake to read from.
        manifest: The manifest of a raw partition.

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
