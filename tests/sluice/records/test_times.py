"""Times as producers write them, against a table, and against a count of days that shares no code with the parser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.records.times import NO_TIME, OUT_OF_RANGE, TimeFault, parse_time

MORNING = datetime(2021, 5, 4, 10, tzinfo=UTC)
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def fault(value: object, unit: str | None = None, zone: str | None = None) -> str:
    with pytest.raises(TimeFault) as caught:
        parse_time(value, unit, zone)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "2021-05-04T10:00:00Z",
        "2021-05-04T10:00:00z",
        "2021-05-04t10:00:00Z",
        "2021-05-04 10:00:00Z",
        "2021-05-04T10:00:00+00",
        "2021-05-04T10:00:00+0000",
        "2021-05-04T10:00:00-00:00",
        "2021-05-04T12:00:00+02",
        "2021-05-04T15:30:00+0530",
        "2021-05-04T05:30:00-04:30",
        "2021-05-04T10:00Z",  # java.time.OffsetDateTime, at a whole minute
        "2021-05-04T10:00:00.000Z",
        "2021-05-04T10:00:00,0Z",
        "2021-05-04T10:00:00.000000999Z",
        "20210504T100000Z",
        "20210504t120000+0200",
        "2021-05-04T09:59:60Z",
    ],
)
def test_spellings_of_one_moment(text: str) -> None:
    assert parse_time(text) == MORNING


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2021-05-04T10:00:00.5Z", 500_000),
        ("2021-05-04T10:00:00.123456789Z", 123_456),
        ("2021-05-04T10:00:00,25Z", 250_000),
        ("20210504T100000.000001Z", 1),
    ],
)
def test_fraction_is_cut_to_microseconds(text: str, microseconds: int) -> None:
    assert parse_time(text) == MORNING + timedelta(microseconds=microseconds)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-05-04T24:00:00Z", datetime(2021, 5, 5, tzinfo=UTC)),
        ("2021-12-31T24:00:00.000+01:00", datetime(2021, 12, 31, 23, tzinfo=UTC)),
        ("20210504T240000Z", datetime(2021, 5, 5, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.25Z", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_midnight_at_the_end_and_leap_seconds(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "value",
    [
        "2021-05-04T10:00:00",  # without an offset, and no zone is declared
        "2021-05-04",
        "2021-W18-2T10:00:00Z",
        "2021-05-04T10:00:00Z ",
        "2021-05-04T10:00:00Z\n",
        "2021-05-04T10:00:00+02:00[Europe/Paris]",
        "Tue, 04 May 2021 10:00:00 GMT",
        "2021-05-04T24:00:01Z",
        "2021-05-04T24:00:00.000000001Z",
        "2021-05-04T25:00:00Z",
        "2021-05-04T10:60:00Z",
        "2021-05-04T10:00:61Z",
        "2021-02-29T10:00:00Z",
        "2021-13-04T10:00:00Z",
        "0000-05-04T10:00:00Z",
        "2021-05-04T10:00:00+24",
        "2021-05-04T10:00:00+02:60",
        "2021-05-04T10:00:00.Z",
        "2021-05-04T10:00:00.1234567890Z",
        "2021-05-04T10:00:00 +02:00",
        "٢٠٢١-05-04T10:00:00Z",
        "12021-05-04T10:00:00Z",
        "1620122400",  # no unit is declared
        1620122400,
        1620122400.0,
        "",
        None,
        True,
        ["2021-05-04T10:00:00Z"],
    ],
)
def test_what_is_no_time(value: object) -> None:
    assert fault(value) == NO_TIME


@pytest.mark.parametrize("text", ["9999-12-31T24:00:00Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_what_python_can_not_tell_is_out_of_range(text: str) -> None:
    assert fault(text) == OUT_OF_RANGE


@pytest.mark.parametrize(
    ("value", "unit", "microseconds"),
    [
        (1620122400, "s", 0),
        ("1620122400", "s", 0),
        (1620122400.25, "s", 250_000),
        (1620122400.1, "s", 100_000),
        ("1620122400.1234567", "s", 123_456),
        (1620122400250, "ms", 250_000),
        ("1620122400250", "ms", 250_000),
        (1620122400000.0, "ms", 0),
        (1620122400000001, "us", 1),
        (1620122400000001999, "ns", 1),
        ("+1620122400", "s", 0),
    ],
)
def test_numbers_count_in_the_declared_unit(value: object, unit: str, microseconds: int) -> None:
    assert parse_time(value, unit) == MORNING + timedelta(microseconds=microseconds)


@pytest.mark.parametrize("value", [True, None, "", "1e9", "0x10", float("nan"), float("inf"), " 1620122400"])
def test_what_is_no_number(value: object) -> None:
    assert fault(value, "s") == NO_TIME


@pytest.mark.parametrize("value", [10**15, -(10**15), 10**400, 1e300, "9" * 20])
def test_number_that_python_can_not_tell_is_out_of_range(value: object) -> None:
    assert fault(value, "s") == OUT_OF_RANGE


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-05-04T12:00:00", MORNING),
        ("2021-01-04 12:00:00.25", datetime(2021, 1, 4, 11, 0, 0, 250_000, tzinfo=UTC)),
        ("20210504T120000", MORNING),
        ("2021-05-04T10:00:00Z", MORNING),  # an offset that is there counts
        ("2021-10-31T02:30:00", datetime(2021, 10, 31, 0, 30, tzinfo=UTC)),  # the zone has it twice
        ("2021-03-28T02:30:00", datetime(2021, 3, 28, 1, 30, tzinfo=UTC)),  # the zone leaves it out
    ],
)
def test_time_without_an_offset_is_in_the_declared_zone(text: str, moment: datetime) -> None:
    assert parse_time(text, zone="Europe/Berlin") == moment


def microseconds_since_1970(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Count the days one by one: of the years before, of the months before, and of this month."""
    leaps = sum(year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) for year in range(1, year))
    leaps -= sum(year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) for year in range(1, 1970))
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (year - 1970) * 365 + leaps + _DAYS_BEFORE_MONTH[month - 1] + (is_leap and month > 2) + day - 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000


@given(
    date=st.tuples(st.integers(1, 9998), st.integers(1, 12), st.integers(1, 28)),
    time=st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 60)),
    fraction=st.text("0123456789", max_size=9),
    offset=st.tuples(st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59)),
    spelling=st.tuples(st.booleans(), st.sampled_from("Tt "), st.sampled_from((".", ",")), st.sampled_from((0, 1, 2))),
)
def test_any_spelling_is_the_counted_moment(
    date: tuple[int, int, int],
    time: tuple[int, int, int],
    fraction: str,
    offset: tuple[str, int, int],
    spelling: tuple[bool, str, str, int],
) -> None:
    is_basic, between, point, form = spelling
    sign, hours, minutes = offset
    dash, colon, between = ("", "", between.replace(" ", "T")) if is_basic else ("-", ":", between)
    zone = (f"{sign}{hours:02}:{minutes:02}", f"{sign}{hours:02}{minutes:02}", f"{sign}{hours:02}")[form]
    ahead = (hours * 60 + (0 if form == 2 else minutes)) * (-1 if sign == "-" else 1)
    text = (
        f"{date[0]:04}{dash}{date[1]:02}{dash}{date[2]:02}{between}"
        f"{time[0]:02}{colon}{time[1]:02}{colon}{time[2]:02}{point + fraction if fraction else ''}{zone}"
    )
    counted = microseconds_since_1970(*date, *time) - ahead * 60_000_000 + int(fraction[:6].ljust(6, "0"))

    if counted < microseconds_since_1970(1, 1, 1, 0, 0, 0):
        assert fault(text) == OUT_OF_RANGE
    else:
        assert (parse_time(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == counted


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()), st.sampled_from((None, "s", "ns")))
def test_any_value_is_a_time_or_a_fault(value: object, unit: str | None) -> None:
    try:
        came_out: object = parse_time(value, unit, "Europe/Berlin").tzinfo
    except TimeFault as found:
        came_out = str(found)

    assert came_out in {UTC, NO_TIME, OUT_OF_RANGE}
