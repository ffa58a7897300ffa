"""Which partitions train, which validate, and which test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from typing_extensions import override

from sluice.declaration.checks import check_count, check_share
from sluice.errors import DeclarationError
from sluice.lake.partitions import Calendar, Partition

_LARGEST_GAP = 10_000
_DAYS = Calendar("day")


class Parts(NamedTuple):
    """The partitions of each part, oldest first."""

    train: list[Partition]
    validation: list[Partition]
    test: list[Partition]


class Split(ABC):
    """The base of the splits."""

    @abstractmethod
    def parts(self, partitions: Sequence[Partition]) -> Parts:
        """Split partitions. No partition is in two parts, and each part is newer than the one before it.

        Args:
            partitions: The partitions, in any order.

        Returns:
            The partitions of each part; with too few partitions, a part is empty.
        """


@dataclass(frozen=True)
class TimeSplit(Split):
    """A split of the partitions in time order: the oldest train, those after them validate, the newest test.

    Of three partitions and twice the gap or more, each part gets at least one, however small its share is.

    Args:
        validation: The share that validates, between 0 and 1.
        test: The share that tests, between 0 and 1.
        gap: How many windows before each of the two are left out: as many as the label looks ahead.

    Raises:
        DeclarationError: a member is out of its range, or the shares leave nothing to train on.
    """

    validation: float = 0.15
    test: float = 0.15
    gap: int = 0

    def __post_init__(self) -> None:
        for member in ("validation", "test"):
            check_share("split", member, getattr(self, member), below_one=True)
        check_count("split", "gap", self.gap, 0, _LARGEST_GAP)
        if self.validation + self.test >= 1:
            raise DeclarationError(
                f"split: validation={self.validation} and test={self.test} leave nothing to train on; write shares "
                f"whose sum is below 1, such as TimeSplit(0.15, 0.15)"
            )

    @override
    def parts(self, partitions: Sequence[Partition]) -> Parts:
        ordered = sorted(partitions)
        count = max(3, len(ordered) - 2 * self.gap)
        test = max(1, min(round(count * self.test), count - 2))
        validation = max(1, min(round(count * self.validation), count - test - 1))
        testing = ordered[-test:]
        before = _well_before(testing, ordered, self.gap)
        validating = before[-validation:]
        return Parts(_well_before(validating, before, self.gap), validating, testing)


def _well_before(part: Sequence[Partition], partitions: Sequence[Partition], gap: int) -> list[Partition]:
    """Return the partitions that end before the gap that ends where a part begins."""
    return [each for each in partitions if each.shift(gap) < part[0]]


@dataclass(frozen=True)
class DateSplit(Split):
    """A split at two moments. A partition belongs to the part in which it starts.

    Args:
        validation_from: The moment from which on partitions validate: a date in the zone of the pipeline, or a datetime
            with the time zone UTC.
        test_from: The moment from which on partitions test.
        gap: How many windows before each of the two are left out: as many as the label looks ahead.

    Raises:
        DeclarationError: a moment is neither or not in UTC, the two are not in order, or the gap is out of its range.
    """

    validation_from: date
    test_from: date
    gap: int = 0

    def __post_init__(self) -> None:
        check_count("split", "gap", self.gap, 0, _LARGEST_GAP)
        for member in ("validation_from", "test_from"):
            _check_moment(member, getattr(self, member))
        if not _moment(self.validation_from, _DAYS) < _moment(self.test_from, _DAYS):
            raise DeclarationError(
                f"split: test_from={self.test_from} must be after validation_from={self.validation_from}; the newest "
                f"partitions test"
            )

    @override
    def parts(self, partitions: Sequence[Partition]) -> Parts:
        ordered = sorted(partitions)
        if not ordered:
            return Parts([], [], [])
        calendar = ordered[0].calendar
        validation, test = _moment(self.validation_from, calendar), _moment(self.test_from, calendar)
        return Parts(
            [each for each in ordered if each.shift(self.gap).start < validation],
            [each for each in ordered if validation <= each.start and each.shift(self.gap).start < test],
            [each for each in ordered if test <= each.start],
        )


def _check_moment(member: str, value: object) -> None:
    if not isinstance(value, date) or (isinstance(value, datetime) and value.utcoffset() != timedelta(0)):
        raise DeclarationError(
            f"split: {member}={value!r} must be a date or a datetime in UTC; write it as date(2026, 5, 1)"
        )


def _moment(value: date, calendar: Calendar) -> datetime:
    return value if isinstance(value, datetime) else calendar.midnight(value)
