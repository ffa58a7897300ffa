"""Time partitions: their keys, their order, and sets of them as text that is short enough for XCom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property, lru_cache
from itertools import pairwise

from sluice.errors import SluiceError
from sluice.lake.grains import WINDOWS, Grain, Windows
from sluice.lake.zones import first_moment, skipped_days, zone_named

_LONGEST_RANGE = len("dt=2013-01-15/hour=07..dt=2013-01-15/hour=08,")
_MOST_CHARACTERS = 3_000  # below the 4 KiB that an XCom may have (P11)
_DATE, _MONTH = re.compile(r"\d{4}-\d{2}-\d{2}"), re.compile(r"\d{4}-\d{2}")
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, order=True)
class Calendar:
    """How a pipeline divides time into partitions. A key alone does not say in which zone its date is.

    Attributes:
        every: The length of a partition.
        zone: The IANA name of the zone at whose midnights partitions start. Hours are those of UTC.
    """

    every: Grain
    zone: str = "UTC"

    @property
    def windows(self) -> Windows:
        """The windows of the grain."""
        return WINDOWS[self.every]

    @property
    def tzinfo(self) -> tzinfo:
        """The zone."""
        return zone_named(self.zone)

    @cached_property
    def skipped(self) -> tuple[int, ...]:
        """The numbers of the windows that the zone has skipped. None of them is a partition."""
        return skipped_days(self.zone) if self.every == "day" and self.zone != "UTC" else ()

    def starting(self, number: int) -> datetime:
        """Return the moment (UTC) at which a window starts, by its number."""
        return first_moment(self.windows.start(number), self.tzinfo)

    def number_at(self, moment: datetime) -> int:
        """Return the number of the window that contains a moment.

        Args:
            moment: A time with a time zone.
        """
        number = self.windows.number(moment.astimezone(self.tzinfo))
        if self.tzinfo is UTC:
            return number
        while self.starting(number) > moment:
            number -= 1
        while self.starting(number + 1) <= moment:  # clocks that go back over midnight show the former day again
            number += 1
        return number

    def midnight(self, day: date) -> datetime:
        """Return the first moment (UTC) of a day of the zone."""
        return first_moment(datetime.combine(day, time()), self.tzinfo)

    def of_run(self, moment: datetime) -> Partition:
        """Return the partition of the date of a run.

        Airflow takes a date alone for its midnight in UTC. It means that date in the zone.

        Args:
            moment: The date of the run, with a time zone.
        """
        moment = moment.astimezone(UTC)
        return Partition.containing(self.midnight(moment) if moment.time() == time() else moment, self)


@dataclass(frozen=True, order=True)
class Partition:
    """One time window of a dataset, from ``start`` (UTC)."""

    start: datetime
    calendar: Calendar = field(hash=False)

    @classmethod
    def containing(cls, moment: datetime, calendar: Calendar) -> Partition:
        """Return the partition that contains a moment.

        Args:
            moment: A time with a time zone.
            calendar: How time is divided.
        """
        return cls(calendar.starting(calendar.number_at(moment)), calendar)

    @classmethod
    def parse(cls, key: str, calendar: Calendar) -> Partition:
        """Parse a partition key, such as ``dt=2013-01-15``, ``dt=2013-01-15/hour=07`` or ``month=2013-01``.

        Args:
            key: The key.
            calendar: How time is divided.

        Raises:
            SluiceError: the text is no key of this calendar.
        """
        windows = calendar.windows
        match = windows.pattern.fullmatch(key)
        if match is None:
            raise SluiceError(f"{key!r} is not a partition key; write it as {windows.example}")
        try:
            number = windows.number(windows.read(match.groups()))
            found = cls(calendar.starting(number), calendar)
            calendar.starting(number + 1)  # the last day that a date can have has no end
        except (ValueError, OverflowError) as error:
            raise SluiceError(f"{key!r} is not a partition key: {error}; write a date that exists") from error
        if found.key != key:
            raise SluiceError(
                f"{key!r} is not a partition key: no {calendar.every} of {calendar.zone} starts then; the next one to "
                f"start is {found.shift(1).key if found.key < key else found.key}"
            )
        return found

    @cached_property
    def number(self) -> int:
        """The number of its window."""
        return self.calendar.number_at(self.start)

    @property
    def date(self) -> date:
        """The first day of it, in the zone."""
        return self._shown.date()

    @property
    def _shown(self) -> datetime:
        """The start as the calendar has it, which clocks may skip."""
        return self.calendar.windows.start(self.number)

    @cached_property
    def key(self) -> str:
        """The partition in keys and manifests, such as ``dt=2013-01-15`` or ``dt=2013-01-15/hour=07``."""
        return self.calendar.windows.key(self._shown)

    @property
    def label(self) -> str:
        """The key without a slash, for names: ``dt=2013-01-15`` or ``dt=2013-01-15T07``."""
        return self.key.replace("/hour=", "T")

    @property
    def end(self) -> datetime:
        """The moment at which the next partition starts (UTC)."""
        return self.calendar.starting(self.number + 1)

    def shift(self, count: int) -> Partition:
        """Return the partition ``count`` windows later, or earlier if ``count`` is negative."""
        calendar, number = self.calendar, self.number
        skipped, target = calendar.skipped, number + count
        if not skipped:  # nearly always: it pays to ask first
            return _numbered(calendar, target)
        for each in skipped if count > 0 else reversed(skipped):
            if number < each <= target:
                target += 1
            elif target <= each < number:
                target -= 1
        return _numbered(calendar, target)

    def since(self, earlier: Partition) -> int:
        """Return how many windows after an earlier partition this one is: ``earlier.shift`` of it returns this one."""
        first, last = earlier.number, self.number
        return last - first - sum(first < each < last for each in self.calendar.skipped)


@lru_cache(2**15)  # a plan looks from each partition to all that lie around it
def _numbered(calendar: Calendar, number: int) -> Partition:
    """Return the partition of a window, by its number."""
    return Partition(calendar.starting(number), calendar)


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
        if runs and runs[-1][1].end == partition.start:
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


def parse_ranges(text: str, calendar: Calendar) -> list[Partition]:
    """Parse the text that :func:`format_ranges` returns, into partitions in order.

    Args:
        text: The ranges.
        calendar: How time is divided.

    Raises:
        SluiceError: the text has something else.
    """
    partitions: list[Partition] = []
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("..")
        partitions.extend(between(Partition.parse(first, calendar), Partition.parse(last or first, calendar)))
    return partitions


def of_folder(path: str, calendar: Calendar) -> Partition | None:
    """Return the partition of a folder below its dataset, such as ``dt=2013-01-15``; None if it is that of none.

    Args:
        path: The path of the folder.
        calendar: How time is divided.
    """
    try:
        return Partition.parse(path, calendar)
    except SluiceError:
        return None


def of_path(path: str, calendar: Calendar) -> Partition | None:
    """Return the partition whose folder contains an object; None if there is none.

    Args:
        path: The object's path below its dataset, such as ``dt=2013-01-15/_manifest.json``.
        calendar: How time is divided.
    """
    match = calendar.windows.pattern.match(path)
    return of_folder(match.group(), calendar) if match is not None and path[match.end() :].startswith("/") else None


def requested(
    calendar: Calendar, run_start: datetime | None, first: str | None = None, last: str | None = None
) -> list[Partition]:
    """Return the partitions of a run: those of a range, or the one of its date.

    Args:
        calendar: How time is divided.
        run_start: The logical date of the run, as :meth:`Calendar.of_run` reads it; None if it has none.
        first: The first partition of the range, as :func:`partition_at` reads it.
        last: The last partition of the range, included. A date alone includes all hours of the day, and a month alone
            all partitions of the month. If only one of the two is given, it is both.

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
        return [calendar.of_run(run_start)]
    begin, end = partition_at(first or last or "", calendar), last_partition_at(last or first or "", calendar)
    if end < begin:
        raise SluiceError(f"the range from {first} to {last} ends before it begins; swap the two")
    return list(between(begin, end))


def partition_at(moment: str, calendar: Calendar) -> Partition:
    """Return the partition that contains a date or time; of a month, the one that contains its first day.

    Args:
        moment: An ISO 8601 date or date-time, in the zone of the calendar unless it has an offset; or a month, such as
            2013-01.
        calendar: How time is divided.

    Raises:
        SluiceError: the text is none of these.
    """
    return _bounds(moment, calendar)[0]


def last_partition_at(moment: str, calendar: Calendar) -> Partition:
    """Return the partition as :func:`partition_at` does, but for a date or a month alone the last one in it.

    Args:
        moment: As for :func:`partition_at`.
        calendar: How time is divided.

    Raises:
        SluiceError: as for :func:`partition_at`.
    """
    return _bounds(moment, calendar)[1]


def _bounds(text: str, calendar: Calendar) -> tuple[Partition, Partition]:
    """Return the first and the last partition of a time, a date or a month."""
    try:
        parsed = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
    except ValueError as error:
        raise SluiceError(f"{text!r} is not a date; write 2013-01-15, 2013-01-15T07 or 2013-01") from error
    if not _MONTH.fullmatch(text) and not _DATE.fullmatch(text):
        moment = parsed if parsed.tzinfo else first_moment(parsed, calendar.tzinfo)
        partition = Partition.containing(moment, calendar)
        return partition, partition
    days = Calendar("month" if _MONTH.fullmatch(text) else "day", calendar.zone)
    begin = days.midnight(parsed)
    last = max(begin, Partition.containing(begin, days).end - _INSTANT)
    return Partition.containing(begin, calendar), Partition.containing(last, calendar)


def chunks(partitions: Sequence[Partition], size: int) -> list[str]:
    """Split partitions into chunks, each as the range from its first to its last one.

    Args:
        partitions: The partitions in order.
        size: The most of them in a chunk.
    """
    some = (partitions[start : start + size] for start in range(0, len(partitions), size))
    return [format_ranges(between(each[0], each[-1])) for each in some]
