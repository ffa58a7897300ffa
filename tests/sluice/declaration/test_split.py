"""Splits follow time: what trains is older than what validates, and that is older than what tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration import DateSplit, TimeSplit
from sluice.errors import DeclarationError
from sluice.lake.partitions import Calendar, Partition, between

FIRST = Partition.containing(datetime(2013, 1, 1, tzinfo=UTC), Calendar("day"))
SHARES = st.tuples(st.floats(1e-6, 0.499), st.floats(1e-6, 0.5))
DAYS = st.sets(st.integers(0, 400), max_size=60)


@given(DAYS, SHARES, st.randoms())
def test_shares_take_every_partition_once(days: set[int], shares: tuple[float, float], order: random.Random) -> None:
    partitions = [FIRST.shift(day) for day in days]
    order.shuffle(partitions)

    parts = TimeSplit(*shares).parts(partitions)

    assert [partition for part in parts for partition in part] == sorted(partitions)
    if len(partitions) >= 3:
        assert all(parts), "at least one partition for each"


@pytest.mark.parametrize(
    ("count", "split", "sizes"),
    [
        (100, TimeSplit(), (70, 15, 15)),
        (14, TimeSplit(), (10, 2, 2)),
        (3, TimeSplit(), (1, 1, 1)),
        (12, TimeSplit(0.25, 0.5), (3, 3, 6)),
        (14, TimeSplit(gap=2), (6, 2, 2)),
        (7, TimeSplit(gap=2), (1, 1, 1)),
        (6, TimeSplit(gap=2), (0, 1, 1)),
        (2, TimeSplit(), (0, 1, 1)),
        (1, TimeSplit(), (0, 0, 1)),
        (0, TimeSplit(gap=2), (0, 0, 0)),
    ],
)
def test_shares_count_partitions(count: int, split: TimeSplit, sizes: tuple[int, int, int]) -> None:
    partitions = [FIRST.shift(n) for n in range(count)]

    assert tuple(map(len, split.parts(partitions))) == sizes


@given(DAYS, st.integers(0, 5), SHARES, st.integers(0, 400), st.integers(1, 400))
def test_gap_is_time_between_the_parts(
    days: set[int], gap: int, shares: tuple[float, float], start: int, length: int
) -> None:
    """A label that looks ahead by the gap never reaches into a later part, also where partitions are missing."""
    partitions = [FIRST.shift(day) for day in days]
    first = date(2013, 1, 1) + timedelta(days=start)

    for split in (TimeSplit(*shares, gap=gap), DateSplit(first, first + timedelta(days=length), gap=gap)):
        parts = [part for part in split.parts(partitions) if part]
        for part, later in pairwise(parts):
            assert part == sorted(part)
            assert part[-1].start + timedelta(days=gap) < later[0].start
        if len(partitions) >= 3 + 2 * gap and isinstance(split, TimeSplit):
            assert len(parts) == 3


def test_dates_are_the_starts_of_parts() -> None:
    hours = list(
        between(
            Partition.containing(FIRST.start, Calendar("hour")),
            Partition.containing(FIRST.start + timedelta(hours=47), Calendar("hour")),
        )
    )
    at_noon = FIRST.start + timedelta(hours=12)

    parts = DateSplit(at_noon, date(2013, 1, 2), gap=3).parts(hours[::-1])

    assert [(part[0].start.hour, part[-1].start.hour, len(part)) for part in parts] == [
        (0, 8, 9),
        (12, 20, 9),
        (0, 23, 24),
    ]


def test_date_of_a_split_is_one_of_the_zone() -> None:
    days = [Partition.parse(f"dt=2013-01-0{day}", Calendar("day", "Asia/Tokyo")) for day in range(1, 7)]

    parts = DateSplit(date(2013, 1, 3), date(2013, 1, 5)).parts(days)

    assert [[each.date.day for each in part] for part in parts] == [[1, 2], [3, 4], [5, 6]]


def test_partition_belongs_to_the_part_in_which_it_starts() -> None:
    days = [FIRST.shift(n) for n in range(6)]

    parts = DateSplit(FIRST.start + timedelta(hours=30), FIRST.start + timedelta(hours=96)).parts(days)

    assert tuple(map(len, parts)) == (2, 2, 2)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: TimeSplit(0, 0.5), "split: validation=0 must be a number between 0 and 1"),
        (lambda: TimeSplit(0.5, 0.5), "leave nothing to train on"),
        (lambda: TimeSplit(gap=-1), "split: gap=-1 must be a whole number from 0 to"),
        (lambda: TimeSplit(gap=1.5), "split: gap=1.5 must be"),  # type: ignore[arg-type]
        (
            lambda: DateSplit("2013-01-01", date(2013, 2, 1)),
            "validation_from='2013-01-01' must be a date or",
        ),  # type: ignore[arg-type]
        (lambda: DateSplit(date(2013, 1, 1), datetime(2013, 2, 1)), "test_from=.* in UTC; write it as date"),  # noqa: DTZ001
        (
            lambda: DateSplit(datetime(2013, 1, 1, tzinfo=timezone(timedelta(hours=1))), date(2013, 2, 1)),
            "validation_from=.* in UTC",
        ),
        (lambda: DateSplit(date(2013, 2, 1), date(2013, 2, 1)), "test_from=2013-02-01 must be after validation_from="),
        (lambda: DateSplit(date(2013, 1, 1), date(2013, 2, 1), gap=True), "gap=True must be"),
    ],
)
def test_wrong_split_is_refused_in_one_line(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        declare()
    assert "\n" not in str(refused.value)
