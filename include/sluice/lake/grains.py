"""The windows of each grain, by the calendar alone. Which moments they are depends on a zone, of which nothing is here.

Times here have no zone: they are what a clock on the wall shows.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import ClassVar, Literal

from typing_extensions import override

# The length of a partition. A week is that of ISO 8601, which starts on Monday.
Grain = Literal["hour", "day", "week", "month"]


class Windows(ABC):
    """The windows of one grain. They are numbered in the order of time, without a gap.

    Attributes:
        column: The name before the sign ``=`` in a key, which engines take for the name of a column.
        example: A key.
        pattern: What matches a key, and nothing longer; its groups are a date and what comes after it.
    """

    column: ClassVar[str]
    example: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]

    @abstractmethod
    def number(self, moment: datetime) -> int:
        """Return the number of the window that contains a time."""

    @abstractmethod
    def start(self, number: int) -> datetime:
        """Return the time at which a window starts.

        Raises:
            OverflowError, ValueError: it is in no year from 1 to 9999.
        """

    @abstractmethod
    def key(self, start: datetime) -> str:
        """Return the key of the window that starts at a time. Keys sort as their times do."""

    def read(self, groups: tuple[str, ...]) -> datetime:
        """Return the start of a window from the groups of :attr:`pattern`.

        Raises:
            ValueError: there is no such date.
        """
        return datetime.fromisoformat("T".join(groups))


class Hours(Windows):
    """Hours."""

    column = "dt"
    example = "dt=2013-01-15/hour=07"
    pattern = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/hour=(\d{2})")

    @override
    def number(self, moment: datetime) -> int:
        return moment.toordinal() * 24 + moment.hour

    @override
    def start(self, number: int) -> datetime:
        day, hour = divmod(number, 24)
        return datetime.combine(date.fromordinal(day), time(hour))

    @override
    def key(self, start: datetime) -> str:
        return f"dt={start.date().isoformat()}/hour={start.hour:02d}"


class Days(Windows):
    """Days."""

    column = "dt"
    example = "dt=2013-01-15"
    pattern = re.compile(r"dt=(\d{4}-\d{2}-\d{2})")

    @override
    def number(self, moment: datetime) -> int:
        return moment.toordinal()

    @override
    def start(self, number: int) -> datetime:
        return datetime.fromordinal(number)

    @override
    def key(self, start: datetime) -> str:
        # Not strftime: it omits the zeros of the year 0001, which some clocks report before they are set.
        return f"dt={start.date().isoformat()}"


class Weeks(Windows):
    """Weeks from Monday. The first day of the year 1 is a Monday."""

    column = "week"
    example = "week=2013-01-14"
    pattern = re.compile(r"week=(\d{4}-\d{2}-\d{2})")

    @override
    def number(self, moment: datetime) -> int:
        return (moment.toordinal() - 1) // 7

    @override
    def start(self, number: int) -> datetime:
        return datetime.fromordinal(number * 7 + 1)

    @override
    def key(self, start: datetime) -> str:
        return f"week={start.date().isoformat()}"


class Months(Windows):
    """Months."""

    column = "month"
    example = "month=2013-01"
    pattern = re.compile(r"month=(\d{4}-\d{2})")

    @override
    def number(self, moment: datetime) -> int:
        return moment.year * 12 + moment.month - 1

    @override
    def start(self, number: int) -> datetime:
        year, month = divmod(number, 12)
        return datetime.combine(date(year, month + 1, 1), time())

    @override
    def key(self, start: datetime) -> str:
        return f"month={start.date().isoformat()[:7]}"

    @override
    def read(self, groups: tuple[str, ...]) -> datetime:
        return datetime.fromisoformat(f"{groups[0]}-01")


WINDOWS: Mapping[Grain, Windows] = {"hour": Hours(), "day": Days(), "week": Weeks(), "month": Months()}


def grain_of(path: str) -> Grain | None:
    """Return the grain of the partition in whose folder an object is, or of a key; None if it is in that of none."""
    for grain, windows in WINDOWS.items():  # hours come first: the folder of a day has theirs
        match = windows.pattern.match(path)
        if match is not None and path[match.end() : match.end() + 1] in ("", "/"):
            return grain
    return None
