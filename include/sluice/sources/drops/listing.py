"""Which objects of a drop hold rows, and to which partition they belong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sluice.declaration.drops import Drops
from sluice.errors import SluiceError
from sluice.lake.partitions import Grain, Partition
from sluice.lake.store import Lake

_FOLDER = re.compile(r"dt=(\d{4}-\d\d-\d\d)(?:/hour=(\d{1,2}))?/")
_HIDDEN = ("_", ".")


@dataclass(frozen=True)
class Dropped:
    """One object of a drop.

    Attributes:
        key: The object's key.
        path: The key without the prefix of the drops, such as ``dt=2013-01-15/a.csv``.
        size: The size in bytes.
        etag: The ETag without its quotes.
    """

    key: str
    path: str
    size: int
    etag: str

    @property
    def holds_rows(self) -> bool:
        """Whether this is no book of its writer: neither its name nor a folder begins with ``_`` or ``.``."""
        return not any(name.startswith(_HIDDEN) for name in self.path.split("/"))


def dropped(lake: Lake, source: Drops, partition: Partition) -> list[Dropped]:
    """Return the objects of a partition that hold rows, in key order.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition.
    """
    return [each for _, each in of_partition(lake, source, partition) if each.holds_rows]


def of_partition(lake: Lake, source: Drops, partition: Partition) -> Iterator[tuple[Partition, Dropped]]:
    """Yield all objects of a partition, with the partition, in key order.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition.
    """
    for folder in folders(partition):
        for each in _listed(lake, source, folder):
            if partition_of(each.path, partition.every) == partition:
                yield partition, each


def all_dropped(lake: Lake, source: Drops, every: Grain) -> Iterator[tuple[Partition, Dropped]]:
    """Yield all objects with their partitions, in key order. Folders of no partition are passed over.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        every: The length of a partition.
    """
    for each in _listed(lake, source, ""):
        found = partition_of(each.path, every)
        if found is not None:
            yield found, each


def folders(partition: Partition) -> tuple[str, ...]:
    """Return the folders that a partition may have below the prefix: an hour is also written with one digit."""
    if partition.every == "hour" and partition.start.hour <= 9:
        day, _, _ = partition.key.partition("/")
        return f"{partition.key}/", f"{day}/hour={partition.start.hour}/"
    return (f"{partition.key}/",)


def partition_of(path: str, every: Grain) -> Partition | None:
    """Return the partition whose folder contains an object; None if there is none.

    Args:
        path: The object's path below the prefix. The folder of an hour is also part of its day.
        every: The length of a partition.
    """
    match = _FOLDER.match(path)
    if match is None:
        return None
    day, hour = match.groups()
    try:
        found = Partition.parse(f"dt={day}" if hour is None else f"dt={day}/hour={int(hour):02d}")
    except SluiceError:
        return None
    return None if found.every == "day" and every == "hour" else Partition.containing(found.start, every)


def _listed(lake: Lake, source: Drops, folder: str) -> Iterator[Dropped]:
    for key, size, etag in lake.objects(source.prefix + folder):
        path = key.removeprefix(source.prefix)
        if not path.endswith("/"):  # S3's console represents a folder by such a key
            yield Dropped(key, path, size, etag)
