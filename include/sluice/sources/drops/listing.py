"""Which objects of a drop hold rows, and to which partition they belong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Listing:
    """What drops held of some partitions when they were listed, all at once.

    Attributes:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        objects: The objects of each partition in key order, its writer's own as well. One without any has no entry.
    """

    lake: Lake
    source: Drops
    objects: Mapping[Partition, Sequence[Dropped]]
    _roots: dict[str, bool] = field(default_factory=dict, init=False)

    def rows(self, partition: Partition) -> list[Dropped]:
        """Return the objects of a partition that hold rows, in key order."""
        return [each for each in self.objects.get(partition, ()) if each.holds_rows]

    def has_root(self, name: str) -> bool:
        """Return whether an object is directly under the prefix. It is looked for once.

        Args:
            name: The name of the object, such as that of a marker of the whole dataset.
        """
        if name not in self._roots:
            self._roots[name] = self.lake.read(self.source.prefix + name) is not None
        return self._roots[name]


def list_drops(lake: Lake, source: Drops, partitions: Collection[Partition]) -> Listing:
    """List the objects of partitions. Neighbours are listed together.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partitions: The partitions, all of one length.
    """
    # An hour is also written with one digit, so the hours of a day are listed together.
    wanted, days = set(partitions), {Partition.containing(each.start, "day") for each in partitions}
    found = (each for every in {each.every for each in wanted} for each in _listed(lake, source, every, days))
    return _listing(lake, source, (each for each in found if each[0] in wanted))


def list_all_drops(lake: Lake, source: Drops, every: Grain) -> Listing:
    """List the objects of all partitions. Folders of no partition are passed over.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        every: The length of a partition.
    """
    return _listing(lake, source, _listed(lake, source, every, None))


def _listing(lake: Lake, source: Drops, found: Iterable[tuple[Partition, Dropped]]) -> Listing:
    objects: dict[Partition, list[Dropped]] = defaultdict(list)
    for partition, each in found:
        objects[partition].append(each)
    return Listing(lake, source, objects)


def _listed(
    lake: Lake, source: Drops, every: Grain, days: Collection[Partition] | None
) -> Iterator[tuple[Partition, Dropped]]:
    for key, size, etag in lake.between(source.prefix, days):
        path = key.removeprefix(source.prefix)
        partition = partition_of(path, every)
        if partition is not None and not path.endswith("/"):  # S3's console represents a folder by such a key
            yield partition, Dropped(key, path, size, etag)


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
