"""Partition keys, their order, and ranges of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SluiceError
from sluice.lake.partitions import (
    Grain,
    Partition,
    between,
    chunks,
    covering_ranges,
    format_ranges,
    of_path,
    parse_ranges,
    partition_at,
    requested,
)

MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001 - Hypothesis wants it so, and adds the zone
    max_value=datetime(9999, 12, 28),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
GRAINS: st.SearchStrategy[Grain] = st.sampled_from(["hour", "day"])
NEAR = st.builds(
    lambda n: Partition(datetime(2013, 1, 1, tzinfo=UTC) + n * timedelta(hours=1), "hour"), st.integers(0, 60)
)


@given(MOMENTS, GRAINS)
def test_moment_is_in_its_partition_and_the_key_names_it(moment: datetime, every: Grain) -> None:
    partition = Partition.containing(moment, every)

    assert partition.start <= moment < partition.end
    assert partition.shift(1).start == partition.end
    assert Partition.parse(partition.key) == partition


@given(MOMENTS, MOMENTS, GRAINS)
def test_keys_sort_as_time_does(one: datetime, other: datetime, every: Grain) -> None:
    first, second = Partition.containing(one, every), Partition.containing(other, every)

    assert (first < second) == (first.key < second.key)


def test_year_one_of_clocks_without_a_battery_has_a_key() -> None:
    partition = Partition.containing(datetime(1, 1, 1, 7, tzinfo=UTC), "hour")

    assert partition.key == "dt=0001-01-01/hour=07"


@pytest.mark.parametrize(
    "key", ["", "2013-01-01", "dt=2013-1-1", "dt=2013-02-30", "dt=2013-01-01/hour=24", "dt=2013-01-01/hour=7", "x"]
)
def test_invalid_key_is_refused_with_the_right_form(key: str) -> None:
    with pytest.raises(SluiceError, match="is not a partition key"):
        Partition.parse(key)


@given(st.sets(NEAR, max_size=30))
def test_ranges_are_read_as_they_were_written(partitions: set[Partition]) -> None:
    assert parse_ranges(format_ranges(partitions)) == sorted(partitions)


def test_ranges_fold_neighbours_so_that_a_year_is_short() -> None:
    first = Partition.parse("dt=2013-01-01")

    assert format_ranges(between(first, first.shift(364))) == "dt=2013-01-01..dt=2013-12-31"
    assert format_ranges([first.shift(3), first, first.shift(1), first]) == "dt=2013-01-01..dt=2013-01-02,dt=2013-01-04"


@given(st.lists(NEAR, unique=True, max_size=30).map(sorted), st.integers(1, 7))
def test_chunks_hold_everything_once_in_order_and_no_more_than_their_size(
    partitions: list[Partition], size: int
) -> None:
    made = chunks(partitions, size)
    parts = [[each for each in parse_ranges(chunk) if each in partitions] for chunk in made]

    assert [partition for part in parts for partition in part] == partitions
    assert all(1 <= len(part) <= size for part in parts)
    assert not any("," in chunk for chunk in made)


@given(st.sets(NEAR, max_size=30), st.integers(100, 400))
def test_covering_ranges_hold_everything_and_are_as_short_as_asked(partitions: set[Partition], most: int) -> None:
    text = covering_ranges(partitions, most)

    assert len(text) <= most
    assert partitions.issubset(parse_ranges(text))
    if len(format_ranges(partitions)) <= most:
        assert text == format_ranges(partitions)


def test_covering_ranges_leave_out_the_widest_gaps() -> None:
    first = Partition.parse("dt=2013-01-01")
    days = [first.shift(n) for n in (*range(0, 20, 2), *range(100, 120, 2), 200)]

    assert covering_ranges(days, 150) == "dt=2013-01-01..dt=2013-01-19,dt=2013-04-11..dt=2013-04-29,dt=2013-07-20"


@pytest.mark.parametrize("every", ["hour", "day"])
def test_a_year_with_every_second_partition_is_short_enough_for_xcom(every: Grain) -> None:
    first = Partition.containing(datetime(2013, 1, 1, tzinfo=UTC), every)

    assert len(covering_ranges(first.shift(2 * n) for n in range(4_380))) < 4_000


def test_run_without_a_range_covers_the_partition_in_which_it_starts() -> None:
    start = datetime(2013, 1, 15, 7, 30, tzinfo=UTC)

    assert [each.key for each in requested("day", start)] == ["dt=2013-01-15"]
    assert [each.key for each in requested("hour", start, None, "")] == ["dt=2013-01-15/hour=07"]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2013-01-15", None, "dt=2013-01-15"),
        (None, "2013-01-15", "dt=2013-01-15"),
        ("2013-01-15", "2013-01-17", "dt=2013-01-15..dt=2013-01-17"),
        ("2013-01-15T22:00:00-05:00", None, "dt=2013-01-16"),
    ],
)
def test_named_range_includes_both_ends(first: str | None, last: str | None, expected: str) -> None:
    assert format_ranges(requested("day", datetime(2020, 1, 1, tzinfo=UTC), first, last)) == expected


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2013-01-15", "2013-01-16", "dt=2013-01-15/hour=00..dt=2013-01-16/hour=23"),
        ("2013-01-15", None, "dt=2013-01-15/hour=00..dt=2013-01-15/hour=23"),
        ("2013-01-15T07", "2013-01-15", "dt=2013-01-15/hour=07..dt=2013-01-15/hour=23"),
        ("2013-01-15T07", None, "dt=2013-01-15/hour=07"),
    ],
)
def test_date_alone_means_all_of_its_hours(first: str, last: str | None, expected: str) -> None:
    assert format_ranges(requested("hour", None, first, last)) == expected


def test_run_without_a_date_and_without_a_range_is_refused() -> None:
    with pytest.raises(SluiceError, match=r"no logical date and names no range, .* trigger it again with from and to"):
        requested("day", None)


@pytest.mark.parametrize(
    ("path", "every", "expected"),
    [
        ("dt=2013-01-15/day.csv", "day", "dt=2013-01-15"),
        ("dt=2013-01-15/hour=07/x/y.csv", "hour", "dt=2013-01-15/hour=07"),
        ("dt=2013-01-15/hour=07/y.csv", "day", "dt=2013-01-15"),
        ("dt=2013-01-15/day.csv", "hour", None),
        ("dt=2013-01-15", "day", None),
        ("dt=2013-01-15.bak/day.csv", "day", None),
        ("dt=2013-02-30/day.csv", "day", None),
        ("readme.txt", "day", None),
    ],
)
def test_path_is_in_one_partition_or_in_none(path: str, every: Grain, expected: str | None) -> None:
    found = of_path(path, every)
    assert (found and found.key) == expected


def test_label_is_a_key_that_may_be_part_of_a_name() -> None:
    assert Partition.parse("dt=2013-01-15").label == "dt=2013-01-15"
    assert Partition.parse("dt=2013-01-15/hour=07").label == "dt=2013-01-15T07"


def test_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SluiceError, match="ends before it begins; swap the two"):
        requested("day", datetime(2020, 1, 1, tzinfo=UTC), "2013-01-02", "2013-01-01")


def test_bound_with_an_offset_means_that_moment_and_one_without_means_utc() -> None:
    assert partition_at("2013-01-15T23:00:00-05:00", "hour").key == "dt=2013-01-16/hour=04"
    assert partition_at("2013-01-15T23", "hour").key == "dt=2013-01-15/hour=23"
    with pytest.raises(SluiceError, match="'yesterday' is not a date"):
        partition_at("yesterday", "day")
