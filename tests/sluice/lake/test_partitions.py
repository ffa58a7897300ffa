"""Partition keys, their order, and ranges of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.calendars import utc, utc_ranges

from sluice.errors import SluiceError
from sluice.lake.grains import Grain, grain_of
from sluice.lake.partitions import (
    Calendar,
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

DAYS, HOURS, WEEKS, MONTHS = (Calendar(every) for every in ("day", "hour", "week", "month"))
NEW_YORK = Calendar("day", "America/New_York")
MOMENTS = st.datetimes(
    min_value=datetime(1, 2, 1),  # noqa: DTZ001 - Hypothesis wants it so, and adds the zone
    max_value=datetime(9999, 11, 28),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
GRAINS: st.SearchStrategy[Grain] = st.sampled_from(["hour", "day", "week", "month"])
# Zones, and a moment near which each changes its clocks in a way of its own.
CHANGES = {
    "America/New_York": datetime(2013, 3, 10, 7, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2017, 10, 15, 3, tzinfo=UTC),
    "America/St_Johns": datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
    "America/Toronto": datetime(1919, 3, 31, 4, 30, tzinfo=UTC),
    "Asia/Beirut": datetime(2022, 3, 26, 22, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2013, 4, 6, 15, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
    "Pacific/Kwajalein": datetime(1993, 8, 21, 12, tzinfo=UTC),
}
CALENDARS = st.one_of(
    GRAINS.map(Calendar),
    st.builds(Calendar, st.sampled_from(["day", "week", "month"]), st.sampled_from(sorted(CHANGES))),
)


@st.composite
def times(draw: st.DrawFn, calendar: Calendar) -> datetime:
    """A moment, or one in the days about a change of the calendar's clocks."""
    change = CHANGES.get(calendar.zone, datetime(2012, 12, 31, tzinfo=UTC))
    near = st.integers(-3 * 86_400, 3 * 86_400).map(lambda seconds: change + timedelta(seconds=seconds))
    return draw(st.one_of(near, MOMENTS))


INSTANT = timedelta(microseconds=1)
NEAR = st.integers(0, 60).map(utc("dt=2013-01-01/hour=00").shift)


@given(st.data(), CALENDARS)
def test_moment_is_in_its_partition_and_the_key_names_it(data: st.DataObject, calendar: Calendar) -> None:
    moment = data.draw(times(calendar))
    partition = Partition.containing(moment, calendar)

    assert partition.start <= moment < partition.end
    assert partition.shift(1).start == partition.end
    assert Partition.parse(partition.key, calendar) == partition
    assert Partition.containing(partition.start, calendar) == partition
    assert Partition.containing(partition.end - INSTANT, calendar) == partition
    assert of_path(f"{partition.key}/rows", calendar) == partition
    assert grain_of(partition.key) == grain_of(f"{partition.key}/rows") == calendar.every


@given(st.data(), st.integers(-4, 4) | st.integers(-400, 400), CALENDARS)
def test_shifts_count_partitions_and_lead_back(data: st.DataObject, count: int, calendar: Calendar) -> None:
    moment = min(max(data.draw(times(calendar)), datetime(40, 1, 1, tzinfo=UTC)), datetime(9900, 1, 1, tzinfo=UTC))
    partition = Partition.containing(moment, calendar)
    shifted = partition.shift(count)

    assert shifted.shift(-count) == partition
    assert len(list(between(min(partition, shifted), max(partition, shifted)))) == abs(count) + 1
    assert max(partition, shifted).since(min(partition, shifted)) == abs(count)
    assert Partition.parse(shifted.key, calendar) == shifted


@given(st.data(), CALENDARS)
def test_keys_sort_as_time_does(data: st.DataObject, calendar: Calendar) -> None:
    first, second = (Partition.containing(data.draw(times(calendar)), calendar) for _ in range(2))

    assert (first < second) == (first.key < second.key)


@given(st.data(), CALENDARS)
def test_ranges_of_any_calendar_are_read_as_they_were_written(data: st.DataObject, calendar: Calendar) -> None:
    partitions = {Partition.containing(moment, calendar) for moment in data.draw(st.lists(times(calendar), max_size=8))}
    near = {each.shift(n) for each in partitions for n in range(3)}

    assert parse_ranges(format_ranges(near), calendar) == sorted(near)


@pytest.mark.parametrize(
    ("calendar", "moment", "key", "start", "end"),
    [
        (WEEKS, "2013-01-15T12:00", "week=2013-01-14", "2013-01-14T00:00", "2013-01-21T00:00"),
        (WEEKS, "2013-01-20T23:59", "week=2013-01-14", "2013-01-14T00:00", "2013-01-21T00:00"),
        (WEEKS, "2021-01-01T00:00", "week=2020-12-28", "2020-12-28T00:00", "2021-01-04T00:00"),  # ISO 8601: 2020-W53
        (WEEKS, "2012-12-31T00:00", "week=2012-12-31", "2012-12-31T00:00", "2013-01-07T00:00"),  # ISO 8601: 2013-W01
        (MONTHS, "2012-02-29T12:00", "month=2012-02", "2012-02-01T00:00", "2012-03-01T00:00"),
        (MONTHS, "2012-12-31T23:59", "month=2012-12", "2012-12-01T00:00", "2013-01-01T00:00"),
        (NEW_YORK, "2013-01-15T04:59", "dt=2013-01-14", "2013-01-14T05:00", "2013-01-15T05:00"),
        (NEW_YORK, "2013-03-10T12:00", "dt=2013-03-10", "2013-03-10T05:00", "2013-03-11T04:00"),
        (NEW_YORK, "2013-11-03T12:00", "dt=2013-11-03", "2013-11-03T04:00", "2013-11-04T05:00"),
        (
            Calendar("week", "America/New_York"),
            "2013-03-11T03:59",
            "week=2013-03-04",
            "2013-03-04T05:00",
            "2013-03-11T04:00",
        ),
        (
            Calendar("month", "America/New_York"),
            "2013-04-01T03:59",
            "month=2013-03",
            "2013-03-01T05:00",
            "2013-04-01T04:00",
        ),
        (
            Calendar("month", "Asia/Tokyo"),
            "2013-01-31T15:00",
            "month=2013-02",
            "2013-01-31T15:00",
            "2013-02-28T15:00",
        ),
        (
            Calendar("day", "America/St_Johns"),  # 02:31 of UTC is 23:01 of the 6th again
            "2010-11-07T03:00",
            "dt=2010-11-07",
            "2010-11-07T02:30",
            "2010-11-08T03:30",
        ),
    ],
)
def test_partition_of_a_moment_is_the_window_of_its_calendar(
    calendar: Calendar, moment: str, key: str, start: str, end: str
) -> None:
    found = Partition.containing(_utc(moment), calendar)

    assert (found.key, found.start, found.end) == (key, _utc(start), _utc(end))


def _utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def test_day_that_a_zone_has_skipped_is_no_partition() -> None:
    apia = Calendar("day", "Pacific/Apia")
    before, after = Partition.parse("dt=2011-12-29", apia), Partition.parse("dt=2011-12-31", apia)

    assert before.shift(1) == after
    assert after.shift(-1) == before
    assert after.since(before) == 1
    assert after.shift(-2).key == "dt=2011-12-28"
    assert before.shift(2).key == "dt=2012-01-01"
    assert before.shift(3).shift(-4).key == "dt=2011-12-28"
    assert format_ranges([before, after]) == "dt=2011-12-29..dt=2011-12-31"
    assert parse_ranges("dt=2011-12-29..dt=2011-12-31", apia) == [before, after]
    assert of_path("dt=2011-12-30/rows", apia) is None
    with pytest.raises(
        SluiceError, match=r"no day of Pacific/Apia starts then; the next one to start is dt=2011-12-31"
    ):
        Partition.parse("dt=2011-12-30", apia)
    assert [each.key for each in requested(apia, None, "2011-12-29", "2011-12-30")] == [
        "dt=2011-12-29",
        "dt=2011-12-31",
    ]


def test_date_of_a_partition_is_that_of_its_zone() -> None:
    assert Partition.parse("month=2013-02", Calendar("month", "Asia/Tokyo")).date == date(2013, 2, 1)
    assert Partition.parse("dt=2017-10-15", Calendar("day", "America/Sao_Paulo")).date == date(2017, 10, 15)


@pytest.mark.parametrize(
    ("calendar", "date", "key"),
    [
        (DAYS, "2013-01-15", "dt=2013-01-15"),
        (MONTHS, "2013-01-15", "month=2013-01"),
        (WEEKS, "2013-01-15", "week=2013-01-14"),
        (NEW_YORK, "2013-01-15", "dt=2013-01-15"),  # by the moment it would be the 14th
        (NEW_YORK, "2013-01-15T05:00", "dt=2013-01-15"),
        (NEW_YORK, "2013-01-15T04:00", "dt=2013-01-14"),
        (Calendar("day", "Asia/Tokyo"), "2013-01-15", "dt=2013-01-15"),
        (Calendar("day", "Asia/Tokyo"), "2013-01-14T15:00", "dt=2013-01-15"),
        (Calendar("month", "America/New_York"), "2013-02-01", "month=2013-02"),
        (Calendar("day", "Europe/London"), "2013-01-15", "dt=2013-01-15"),
    ],
)
def test_date_of_a_run_means_that_date_in_the_zone(calendar: Calendar, date: str, key: str) -> None:
    assert calendar.of_run(_utc(date)).key == key
    assert calendar.of_run(calendar.of_run(_utc(date)).start).key == key


def test_year_one_of_clocks_without_a_battery_has_a_key() -> None:
    partition = Partition.containing(datetime(1, 1, 1, 7, tzinfo=UTC), HOURS)

    assert partition.key == "dt=0001-01-01/hour=07"


@pytest.mark.parametrize(
    ("calendar", "key"),
    [
        *(
            (DAYS, key)
            for key in ("", "2013-01-01", "dt=2013-1-1", "dt=2013-02-30", "x", "dt=9999-12-31", "dt=0000-01-01")
        ),
        *((HOURS, f"dt=2013-01-01/hour={hour}") for hour in ("24", "7", "")),
        *((WEEKS, f"week={day}") for day in ("2013-01-15", "2013-W03", "2013-02-30")),
        *((MONTHS, f"month={month}") for month in ("2013-13", "2013-1", "2013-01-01", "0000-01")),
        (DAYS, "dt=2013-01-01/hour=07"),
        (HOURS, "dt=2013-01-01"),
        (WEEKS, "dt=2013-01-14"),
        (DAYS, "week=2013-01-14"),
        (Calendar("day", "Asia/Tokyo"), "dt=0001-01-01"),
    ],
)
def test_invalid_key_is_refused_with_the_right_form(calendar: Calendar, key: str) -> None:
    with pytest.raises(SluiceError, match="is not a partition key"):
        Partition.parse(key, calendar)


@pytest.mark.parametrize(
    ("calendar", "first", "last", "expected"),
    [
        (MONTHS, "2013-01", None, "month=2013-01"),
        (MONTHS, "2013-01-15", "2013-03-01", "month=2013-01..month=2013-03"),
        (WEEKS, "2013-01-15", None, "week=2013-01-14"),
        (WEEKS, "2013-01", None, "week=2012-12-31..week=2013-01-28"),
        (DAYS, "2013-02", None, "dt=2013-02-01..dt=2013-02-28"),
        (HOURS, "2013-02", "2013-02", "dt=2013-02-01/hour=00..dt=2013-02-28/hour=23"),
        (NEW_YORK, "2013-03-10", None, "dt=2013-03-10"),
        (NEW_YORK, "2013-03-10T23", None, "dt=2013-03-10"),  # a time without an offset is one of the zone
        (NEW_YORK, "2013-03-10T03:00:00+00:00", None, "dt=2013-03-09"),
        (NEW_YORK, "2013-11-03", "2013-11-04", "dt=2013-11-03..dt=2013-11-04"),
        (NEW_YORK, "2013-02", None, "dt=2013-02-01..dt=2013-02-28"),
        (Calendar("month", "Asia/Tokyo"), "2013-02", None, "month=2013-02"),
    ],
)
def test_dates_and_months_name_the_partitions_of_a_calendar(
    calendar: Calendar, first: str, last: str | None, expected: str
) -> None:
    assert format_ranges(requested(calendar, None, first, last)) == expected


@given(st.sets(NEAR, max_size=30))
def test_ranges_are_read_as_they_were_written(partitions: set[Partition]) -> None:
    assert utc_ranges(format_ranges(partitions)) == sorted(partitions)


def test_ranges_fold_neighbours_so_that_a_year_is_short() -> None:
    first = utc("dt=2013-01-01")

    assert format_ranges(between(first, first.shift(364))) == "dt=2013-01-01..dt=2013-12-31"
    assert format_ranges([first.shift(3), first, first.shift(1), first]) == "dt=2013-01-01..dt=2013-01-02,dt=2013-01-04"


@given(st.lists(NEAR, unique=True, max_size=30).map(sorted), st.integers(1, 7))
def test_chunks_hold_everything_once_in_order_and_no_more_than_their_size(
    partitions: list[Partition], size: int
) -> None:
    made = chunks(partitions, size)
    parts = [[each for each in utc_ranges(chunk) if each in partitions] for chunk in made]

    assert [partition for part in parts for partition in part] == partitions
    assert all(1 <= len(part) <= size for part in parts)
    assert not any("," in chunk for chunk in made)


@given(st.sets(NEAR, max_size=30), st.integers(100, 400))
def test_covering_ranges_hold_everything_and_are_as_short_as_asked(partitions: set[Partition], most: int) -> None:
    text = covering_ranges(partitions, most)

    assert len(text) <= most
    assert partitions.issubset(utc_ranges(text))
    if len(format_ranges(partitions)) <= most:
        assert text == format_ranges(partitions)


def test_covering_ranges_leave_out_the_widest_gaps() -> None:
    first = utc("dt=2013-01-01")
    days = [first.shift(n) for n in (*range(0, 20, 2), *range(100, 120, 2), 200)]

    assert covering_ranges(days, 150) == "dt=2013-01-01..dt=2013-01-19,dt=2013-04-11..dt=2013-04-29,dt=2013-07-20"


@pytest.mark.parametrize("every", ["hour", "day", "week", "month"])
def test_a_year_with_every_second_partition_is_short_enough_for_xcom(every: Grain) -> None:
    first = Partition.containing(datetime(2013, 1, 1, tzinfo=UTC), Calendar(every))

    assert len(covering_ranges(first.shift(2 * n) for n in range(4_380))) < 4_000


def test_run_without_a_range_covers_the_partition_in_which_it_starts() -> None:
    start = datetime(2013, 1, 15, 7, 30, tzinfo=UTC)

    assert [each.key for each in requested(DAYS, start)] == ["dt=2013-01-15"]
    assert [each.key for each in requested(HOURS, start, None, "")] == ["dt=2013-01-15/hour=07"]


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
    assert format_ranges(requested(DAYS, datetime(2020, 1, 1, tzinfo=UTC), first, last)) == expected


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
    assert format_ranges(requested(HOURS, None, first, last)) == expected


def test_run_without_a_date_and_without_a_range_is_refused() -> None:
    with pytest.raises(SluiceError, match=r"no logical date and names no range, .* trigger it again with from and to"):
        requested(DAYS, None)


@pytest.mark.parametrize(
    ("path", "every", "expected"),
    [
        ("dt=2013-01-15/day.csv", "day", "dt=2013-01-15"),
        ("dt=2013-01-15/hour=07/x/y.csv", "hour", "dt=2013-01-15/hour=07"),
        ("dt=2013-01-15/hour=07/y.csv", "day", "dt=2013-01-15"),
        ("dt=2013-01-15/day.csv", "hour", None),
        ("week=2013-01-14/rows", "week", "week=2013-01-14"),
        ("week=2013-01-15/rows", "week", None),
        ("month=2013-01/rows", "month", "month=2013-01"),
        ("month=2013-01/rows", "day", None),
        ("dt=2013-01-15", "day", None),
        ("dt=2013-01-15.bak/day.csv", "day", None),
        ("dt=2013-02-30/day.csv", "day", None),
        ("readme.txt", "day", None),
    ],
)
def test_path_is_in_one_partition_or_in_none(path: str, every: Grain, expected: str | None) -> None:
    found = of_path(path, Calendar(every))
    assert (found and found.key) == expected


def test_label_is_a_key_that_may_be_part_of_a_name() -> None:
    assert utc("dt=2013-01-15").label == "dt=2013-01-15"
    assert Partition.parse("month=2013-01", MONTHS).label == "month=2013-01"
    assert utc("dt=2013-01-15/hour=07").label == "dt=2013-01-15T07"


def test_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SluiceError, match="ends before it begins; swap the two"):
        requested(DAYS, datetime(2020, 1, 1, tzinfo=UTC), "2013-01-02", "2013-01-01")


def test_bound_with_an_offset_means_that_moment_and_one_without_means_utc() -> None:
    assert partition_at("2013-01-15T23:00:00-05:00", HOURS).key == "dt=2013-01-16/hour=04"
    assert partition_at("2013-01-15T23", HOURS).key == "dt=2013-01-15/hour=23"
    with pytest.raises(SluiceError, match="'yesterday' is not a date"):
        partition_at("yesterday", DAYS)
