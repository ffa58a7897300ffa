"""Which objects of a drop hold rows, and to which partition they belong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sluice.declaration.drops import Drops
from sluice.errors import SluiceError
from sluice.lake.grains import WINDOWS
from sluice.lake.partitions import Calendar, Partition, between, of_path
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
        partitions: The partitions.
    """
    wanted = set(partitions)
    found = (each for folders in _folders(wanted) for each in _listed(lake, source, folders))
    return _listing(lake, source, (each for each in found if each[0] in wanted))


def list_all_drops(lake: Lake, source: Drops) -> Listing:
    """List the objects of all partitions. Folders of no partition are passed over.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
    """
    return _listing(lake, source, _listed(lake, source, None))


def _folders(partitions: Collection[Partition]) -> Iterator[Collection[Partition]]:
    """Yield the partitions in whose folders the objects of partitions may be, of one length at a time."""
    # An hour is also written with one digit, so the hours of a day are listed together.
    yield {day for each in partitions for day in between(*_days(each))}
    if any(each.calendar.windows.column != WINDOWS["day"].column for each in partitions):
        yield partitions


def _days(partition: Partition) -> tuple[Partition, Partition]:
    """Return the first and the last day of which a partition has some."""
    days = Calendar("day")  # folders are named by dates, whatever their zone is
    after = partition.date + timedelta(1) if partition.calendar.every == "hour" else partition.shift(1).date
    first, end = (Partition.containing(days.midnight(day), days) for day in (partition.date, after))
    return first, end.shift(-1)


def _listing(lake: Lake, source: Drops, found: Iterable[tuple[Partition, Dropped]]) -> Listing:
    objects: dict[Partition, list[Dropped]] = defaultdict(list)
    for partition, each in found:
        objects[partition].append(each)
    return Listing(lake, source, objects)


def _listed(lake: Lake, source: Drops, folders: Collection[Partition] | None) -> Iterator[tuple[Partition, Dropped]]:
    for key, size, etag in lake.between(source.prefix, folders):
        path = key.removeprefix(source.prefix)
        partition = partition_of(path, lake.calendar)
        if partition is not None and not path.endswith("/"):  # S3's console represents a folder by such a key
            yield partition, Dropped(key, path, size, etag)


def folders(partition: Partition) -> tuple[str, ...]:
    """Return the folders that a partition may have below the prefix: an hour is also written with one digit."""
    if partition.calendar.every == "hour" and partition.start.hour <= 9:
        day, _, _ = partition.key.partition("/")
        return f"{partition.key}/", f"{day}/hour={partition.start.hour}/"
    return (f"{partition.key}/",)


def partition_of(path: str, calendar: Calendar) -> Partition | None:
    """Return the partition whose folder contains an object; None if there is none.

    Args:
        path: The object's path below the prefix. The folder of an hour is also part of its day, and that of a day part
            of its week or month.
        calendar: How time is divided.
    """
    match = _FOLDER.match(path)
    if match is None:
        return of_path(path, calendar)
    day, hour = match.groups()
    try:
        if calendar.every == "hour":
            return Partition.parse(f"dt={day}/hour={int(hour):02d}", calendar) if hour else None
        named = datetime.fromisoformat(f"{day}T{int(hour or 0):02d}")
        if calendar.every == "day":
            return Partition.parse(f"dt={day}", calendar)
        return Partition.containing(calendar.midnight(named), calendar)
    except (SluiceError, ValueError, OverflowError):
        return None
