"""Time partitions: their keys, their order, and sets of them as text that is short enough for XCom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from sluice.errors import SluiceError

# The length of a partition (UTC).
Grain = Literal["hour", "day"]

_LENGTHS: dict[Grain, timedelta] = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
_KEY = re.compile(r"dt=(\d{4}-\d{2}-\d{2})(?:/hour=(\d{2}))?")
_LONGEST_RANGE = len("dt=2013-01-15/hour=07..dt=2013-01-15/hour=08,")
_MOST_CHARACTERS = 3_000  # below the 4 KiB that an XCom may have (P11)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, order=True)
class Partition:
    """One time window of a dataset (UTC): an hour or a day from ``start``."""

    start: datetime
    every: Grain

    @classmethod
    def containing(cls, moment: datetime, every: Grain) -> Partition:
        """Return the partition that contains a moment.

        Args:
            moment: A time with a time zone.
            every: The length of the partition.
        """
        moment = moment.astimezone(UTC)
        hour = moment.hour if every == "hour" else 0
        return cls(moment.replace(hour=hour, minute=0, second=0, microsecond=0), every)

    @classmethod
    def parse(cls, key: str) -> Partition:
        """Parse a partition key, ``dt=2013-01-15`` or ``dt=2013-01-15/hour=07``.

        Raises:
            SluiceError: the text is not such a key.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise SluiceError(f"{key!r} is not a partition key; write dt=2013-01-15 or dt=2013-01-15/hour=07")
        day, hour = match.groups()
        try:
            found = cls(datetime.fromisoformat(f"{day}T{hour or '00'}:00:00+00:00"), "day" if hour is None else "hour")
            found.shift(1)  # the last day that a date can have has no end
        except (ValueError, OverflowError) as error:
            raise SluiceError(f"{key!r} is not a partition key: {error}; write a date that exists") from error
        return found

    @property
    def key(self) -> str:
        # Not strftime: it omits the zeros of the year 0001, which some clocks report before they are set.
        """The partition in keys and manifests: ``dt=2013-01-15`` or ``dt=2013-01-15/hour=07``."""
        day = f"dt={self.start.date().isoformat()}"
        return day if self.every == "day" else f"{day}/hour={self.start.hour:02d}"

    @property
    def label(self) -> str:
        """The key without a slash, for names: ``dt=2013-01-15`` or ``dt=2013-01-15T07``."""
        return self.key.replace("/hour=", "T")

    @property
    def end(self) -> datetime:
        """The moment at which the next partition starts (UTC)."""
        return self.start + _LENGTHS[self.every]

    def shift(self, count: int) -> Partition:
        """Return the partition ``count`` windows later, or earlier if ``count`` is negative."""
        return Partition(self.start + count * _LENGTHS[self.every], self.every)


def between(first: Partition, last: Partition) -> Iterator[Partition]:
    """Yield every partition of a range, in order.

    Args:
        first: The first partition.
        last: The last partition, included.
    """
    while first <= last:
        yield first
        first = first.shift(1)


def format_ranges(partitions: Iterable[Partition]) -> str:
    """Format a set of partitions, with neighbours merged: ``dt=2013-01-01..dt=2013-01-14,dt=2013-01-20``."""
    runs = neighbours(partitions)
    return ",".join(first.key if first == last else f"{first.key}..{last.key}" for first, last in runs)


def neighbours(partitions: Iterable[Partition]) -> list[tuple[Partition, Partition]]:
    """Return the first and the last of each run of partitions that follow one another, in order.

    Args:
        partitions: A set of partitions, in any order.
    """
    runs: list[tuple[Partition, Partition]] = []
    for partition in sorted(set(partitions)):
        if runs and runs[-1][1].shift(1) == partition:
            runs[-1] = runs[-1][0], partition
        else:
            runs.append((partition, partition))
    return runs


def covering_ranges(partitions: Iterable[Partition], most: int = _MOST_CHARACTERS) -> str:
    """Format partitions as :func:`format_ranges` does, if that is short enough; else as fewer ranges that cover them.

    Args:
        partitions: The partitions, all of one length.
        most: The most characters.

    Returns:
        The ranges. Between them are the widest gaps, as many as fit.
    """
    ordered = sorted(set(partitions))
    exact = format_ranges(ordered)
    if len(exact) <= most:
        return exact
    widest = sorted(range(1, len(ordered)), key=lambda n: ordered[n - 1].start - ordered[n].start)
    cuts = sorted(widest[: most // _LONGEST_RANGE - 1])
    covering = ((ordered[first], ordered[end - 1]) for first, end in pairwise([0, *cuts, len(ordered)]))
    return ",".join(first.key if first == last else f"{first.key}..{last.key}" for first, last in covering)


def parse_ranges(text: str) -> list[Partition]:
    """Parse the text that :func:`format_ranges` returns, into partitions in order.

    Raises:
        SluiceError: the text has something else.
    """
    partitions: list[Partition] = []
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("..")
        partitions.extend(between(Partition.parse(first), Partition.parse(last or first)))
    return partitions


def of_folder(path: str) -> Partition | None:
    """Return the partition of a folder below its dataset, such as ``dt=2013-01-15``; None if it is that of none."""
    try:
        return Partition.parse(path)
    except SluiceError:
        return None


def of_path(path: str, every: Grain) -> Partition | None:
    """Return the partition whose folder contains an object; None if there is none.

    Args:
        path: The object's path below its dataset or prefix, such as ``dt=2013-01-15/day.csv``.
        every: The length of the partition. The folder of an hour is also part of its day.
    """
    match = _KEY.match(path)
    if match is None or not path[match.end() :].startswith("/"):
        return None
    found = of_folder(match.group())
    if found is None or (found.every == "day" and every == "hour"):
        return None
    return Partition.containing(found.start, every)


def requested(
    every: Grain, run_start: datetime | None, first: str | None = None, last: str | None = None
) -> list[Partition]:
    """Return the partitions of a run: those of a range, or the one that contains ``run_start``.

    Args:
        every: The length of a partition.
        run_start: The logical date of the run; None if it has none.
        first: The first partition of the range, as :func:`partition_at` reads it.
        last: The last partition of the range, included. A date alone includes all hours of the day. If only one of the
            two is given, it is both.

    Raises:
        SluiceError: there is neither a range nor a logical date, or the range ends before it begins, or it has no
            dates.
    """
    if not first and not last:
        if run_start is None:
            raise SluiceError(
                "the run has no logical date and names no range, so it has no partition; trigger it again with "
                "from and to, such as 2013-01-01 and 2013-01-14, or with a logical date"
            )
        return [Partition.containing(run_start, every)]
    begin, end = partition_at(first or last or "", every), _last_partition_at(last or first or "", every)
    if end < begin:
        raise SluiceError(f"the range from {first} to {last} ends before it begins; swap the two")
    return list(between(begin, end))


def _last_partition_at(moment: str, every: Grain) -> Partition:
    """Return the partition as :func:`partition_at` does, but for a date alone the last partition of that day."""
    if _DATE.fullmatch(moment):
        return Partition.containing(partition_at(moment, "day").end - _LENGTHS[every], every)
    return partition_at(moment, every)


def partition_at(moment: str, every: Grain) -> Partition:
    """Return the partition that contains a date or time.

    Args:
        moment: An ISO 8601 date or date-time, in UTC unless it has an offset.
        every: The length of the partition.

    Raises:
        SluiceError: the text is neither.
    """
    try:
        parsed = datetime.fromisoformat(moment)
        return Partition.containing(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC), every)
    except ValueError as error:
        raise SluiceError(f"{moment!r} is not a date; write 2013-01-15 or 2013-01-15T07") from error


def chunks(partitions: Sequence[Partition], size: int) -> list[str]:
    """Split partitions into chunks, each as the range from its first to its last one.

    Args:
        partitions: The partitions in order.
        size: The most of them in a chunk.
    """
    some = (partitions[start : start + size] for start in range(0, len(partitions), size))
    return [format_ranges(between(each[0], each[-1])) for each in some]
