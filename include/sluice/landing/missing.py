"""Lands the records that are missing in their partition, and no others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sluice.lake.partitions import Partition
from sluice.landing.parts import Landing, Parts
from sluice.landing.recorded import recorded
from sluice.records.record import Record

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
        UnreadableObject: it is damaged.
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
        self._lake, self._dataset = landing.lake, landing.dataset
        self._known: dict[Partition, set[bytes]] = {}

    def among(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that are missing, each once. From then on they count as present."""
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._lake.calendar)].append(record)
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
        for table in recorded(self._lake, manifest, _IDENTITY) if manifest else ():
            present.update(map(_digest, zip(*(table[name].to_pylist() for name in _IDENTITY), strict=True)))
        return present


def _digest(identity: Iterable[object]) -> bytes:
    return hashlib.blake2b("\n".join(repr(str(member)) for member in identity).encode(), digest_size=16).digest()
