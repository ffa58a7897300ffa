"""Time partitions: their keys, their order, and sets of them as text that is short enough for XCom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sluice.errors import SluiceError

# The length of a partition (UTC).
Grain = Literal["hour", "day"]

_LENGTHS: dict[Grain, timedelta] = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
_KEY = re.compile(r"dt=(\d{4}-\d{2}-\d{2})(?:/hour=(\d{2}))?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, order=True)
class Partition:
    """One time window of one dataset, UTC: an hour or a day from ``start``."""

    start: datetime
    every: Grain

    @classmethod
    def containing(cls, moment: datetime, every: Grain) -> Partition:
        """The partition in which ``moment`` (with a time zone) lies."""
        moment = moment.astimezone(UTC)
        hour = moment.hour if every == "hour" else 0
        return cls(moment.replace(hour=hour, minute=0, second=0, microsecond=0), every)

    @classmethod
    def parse(cls, key: str) -> Partition:
        """The partition of a key, ``dt=2013-01-15`` or ``dt=2013-01-15/hour=07``.

        Raises:
            SluiceError: the text is not such a key.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise SluiceError(f"{key!r} is no partition key; write dt=2013-01-15 or dt=2013-01-15/hour=07")
        day, hour = match.groups()
        try:
            start = datetime.fromisoformat(f"{day}T{hour or '00'}:00:00+00:00")
        except ValueError as error:
            raise SluiceError(f"{key!r} is no partition key: {error}; write a date that there is") from error
        return cls(start, "day" if hour is None else "hour")

    @property
    def key(self) -> str:
        # Not strftime: it omits the zeros of the year 0001, which some clocks send when they are not set.
        day = f"dt={self.start.date().isoformat()}"
        return day if self.every == "day" else f"{day}/hour={self.start.hour:02d}"

    @property
    def label(self) -> str:
        """The key without a slash, for names: ``dt=2013-01-15`` or ``dt=2013-01-15T07``."""
        return self.key.replace("/hour=", "T")

    @property
    def end(self) -> datetime:
        return self.start + _LENGTHS[self.every]

    def shift(self, count: int) -> Partition:
        """The partition ``count`` windows later, or earlier if negative."""
        return Partition(self.start + count * _LENGTHS[self.every], self.every)


def between(first: Partition, last: Partition) -> Iterator[Partition]:
    """Every partition from ``first`` to ``last``, both included."""
    while first <= last:
        yield first
        first = first.shift(1)


def format_ranges(partitions: Iterable[Partition]) -> str:
    """A set of partitions as text, with neighbours merged: ``dt=2013-01-01..dt=2013-01-14,dt=2013-01-20``."""
    runs: list[list[Partition]] = []
    for partition in sorted(set(partitions)):
        if runs and runs[-1][1].shift(1) == partition:
            runs[-1][1] = partition
        else:
            runs.append([partition, partition])
    return ",".join(first.key if first == last else f"{first.key}..{last.key}" for first, last in runs)


def parse_ranges(text: str) -> list[Partition]:
    """The partitions that :func:`format_ranges` wrote, in order."""
    partitions: list[Partition] = []
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("..")
        partitions.extend(between(Partition.parse(first), Partition.parse(last or first)))
    return partitions


def of_path(path: str, every: Grain) -> Partition | None:
    """The partition whose folder contains an object, such as ``dt=2013-01-15/day.csv``; None if there is none."""
    match = _KEY.match(path)
    if match is None or not path[match.end() :].startswith("/"):
        return None
    try:
        found = Partition.parse(match.group())
    except SluiceError:
        return None
    return None if found.every == "day" and every == "hour" else Partition.containing(found.start, every)


def requested(
    every: Grain, run_start: datetime | None, first: str | None = None, last: str | None = None
) -> list[Partition]:
    """The partitions of a run: a named range, or the one that contains ``run_start``.

    ``first`` and ``last`` are as in :func:`partition_at`, both included. One alone means one partition, or the whole
    day if it is a date and the partitions are hours.

    Raises:
        SluiceError: there is neither, or the range ends before it begins, or is no date.
    """
    if not first and not last:
        if run_start is None:
            raise SluiceError(
                "the run has no logical date and names no range, so it is about no partition; trigger it again with "
                "from and to, such as 2013-01-01 and 2013-01-14, or with a logical date"
            )
        return [Partition.containing(run_start, every)]
    begin, end = partition_at(first or last or "", every), _last_partition_at(last or first or "", every)
    if end < begin:
        raise SluiceError(f"the range from {first} to {last} ends before it begins; swap the two")
    return list(between(begin, end))


def _last_partition_at(moment: str, every: Grain) -> Partition:
    """As :func:`partition_at`, but a date alone means the whole day, so the last partition of it."""
    if _DATE.fullmatch(moment):
        return Partition.containing(partition_at(moment, "day").end - _LENGTHS[every], every)
    return partition_at(moment, every)


def partition_at(moment: str, every: Grain) -> Partition:
    """The partition that contains an ISO date or date-time, UTC unless it has an offset.

    Raises:
        SluiceError: the text is neither.
    """
    try:
        parsed = datetime.fromisoformat(moment)
        return Partition.containing(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC), every)
    except ValueError as error:
        raise SluiceError(f"{moment!r} is no date; write 2013-01-15 or 2013-01-15T07") from error


def chunks(partitions: Sequence[Partition], size: int) -> list[str]:
    """The partitions in chunks of at most ``size``, each as :func:`format_ranges` writes it."""
    return [format_ranges(partitions[start : start + size]) for start in range(0, len(partitions), size)]
