"""When days of a zone begin. The right answers are written down from the history of each zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.lake.zones import first_moment, skipped_days, zone_named

NAMES = sorted(files("tzdata").joinpath("zones").read_text().split())
ZONES = st.sampled_from(NAMES).map(zone_named)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("America/New_York", "2013-01-15", "2013-01-15T05:00", 24),
        ("America/New_York", "2013-03-10", "2013-03-10T05:00", 23),  # 02:00 is 03:00
        ("America/New_York", "2013-11-03", "2013-11-03T04:00", 25),  # 02:00 is 01:00
        ("Europe/Berlin", "2013-03-31", "2013-03-30T23:00", 23),
        ("Europe/Berlin", "2013-10-27", "2013-10-26T22:00", 25),
        ("Asia/Kathmandu", "2013-01-15", "2013-01-14T18:15", 24),  # 5:45 h before UTC
        ("Australia/Lord_Howe", "2013-04-07", "2013-04-06T13:00", 24.5),  # summer is half an hour
        ("America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00", 23),  # 00:00 is 01:00: there is no midnight
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", 25),  # 24:00 is 23:00
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00", 24),
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00", 23),  # 00:00 is 01:00
        ("Africa/Cairo", "2023-04-28", "2023-04-27T22:00", 23),  # 00:00 is 01:00
        ("Africa/Cairo", "2023-10-26", "2023-10-25T21:00", 25),  # 24:00 is 23:00
        ("America/St_Johns", "2010-11-06", "2010-11-06T02:30", 24),
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30", 25),  # 00:01 is 23:01 of the day before
        ("America/Toronto", "1919-03-30", "1919-03-30T05:00", 23.5),  # 23:30 is 00:30 of the next day
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30", 23.5),
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00", 24),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", 0),  # 24:00 of the 29th is 00:00 of the 31st
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", 24),
    ],
)
def test_day_begins_at_the_first_moment_of_its_date(zone: str, day: str, begins: str, hours: float) -> None:
    midnight = datetime.fromisoformat(day)
    found = first_moment(midnight, zone_named(zone))

    assert found == datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert found.tzinfo is UTC
    assert first_moment(midnight + timedelta(1), zone_named(zone)) - found == timedelta(hours=hours)


@given(ZONES, st.dates(date(1850, 1, 1), date(2100, 1, 1)))
def test_clocks_first_show_a_day_at_its_first_moment(zone: tzinfo, day: date) -> None:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001
    found = first_moment(midnight, zone)

    assert found.astimezone(zone).replace(tzinfo=None) >= midnight
    assert (found - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None) < midnight


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("Pacific/Apia", {"2011-12-30"}),
        ("Pacific/Fakaofo", {"2011-12-30"}),
        ("Pacific/Kiritimati", {"1994-12-31"}),
        ("Pacific/Kwajalein", {"1993-08-21"}),
        ("America/New_York", set()),
        ("Europe/Berlin", set()),
    ],
)
def test_days_that_a_zone_has_skipped_are_known(zone: str, days: set[str]) -> None:
    found = {date.fromordinal(day).isoformat() for day in skipped_days(zone)}

    assert {day for day in found if day >= "1900"} == days


@given(st.sampled_from(NAMES), st.dates(date(1850, 1, 1), date(2100, 1, 1)))
def test_a_day_is_empty_only_if_it_is_skipped(name: str, day: date) -> None:
    zone = zone_named(name)
    begin, end = (first_moment(datetime.fromordinal(n), zone) for n in (day.toordinal(), day.toordinal() + 1))

    assert (begin == end) == (day.toordinal() in skipped_days(name))
