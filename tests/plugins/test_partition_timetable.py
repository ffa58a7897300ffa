"""A run is the partition that holds its date, however it was started."""

from __future__ import annotations

from datetime import timedelta

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction

from sluice_airflow.timetable import PartitionTimetable

DAILY = PartitionTimetable("0 0 * * *", timezone="UTC")
HOURLY = PartitionTimetable("0 * * * *", timezone="UTC")


def moment(text: str) -> pendulum.DateTime:
    parsed = pendulum.parse(text, tz="UTC")
    assert isinstance(parsed, pendulum.DateTime)
    return parsed


@pytest.mark.parametrize(
    ("timetable", "date", "start", "end"),
    [
        (DAILY, "2013-01-15T00:00", "2013-01-15", "2013-01-16"),
        (DAILY, "2013-01-15T12:34", "2013-01-15", "2013-01-16"),
        (DAILY, "2013-01-15T23:59:59.999999", "2013-01-15", "2013-01-16"),
        (DAILY, "2012-12-31T12:00", "2012-12-31", "2013-01-01"),
        (HOURLY, "2013-01-15T07:00", "2013-01-15T07:00", "2013-01-15T08:00"),
        (HOURLY, "2013-01-15T07:59", "2013-01-15T07:00", "2013-01-15T08:00"),
        (HOURLY, "2013-01-15T23:10", "2013-01-15T23:00", "2013-01-16T00:00"),
    ],
)
def test_a_manual_run_is_the_interval_that_holds_its_date(
    timetable: PartitionTimetable, date: str, start: str, end: str
) -> None:
    interval = timetable.infer_manual_data_interval(run_after=moment(date))
    assert interval == DataInterval(start=moment(start), end=moment(end))


def test_a_date_of_another_zone_is_taken_in_utc() -> None:
    interval = DAILY.infer_manual_data_interval(run_after=pendulum.datetime(2013, 1, 14, 20, tz="America/New_York"))
    assert interval.start == moment("2013-01-15")


def test_scheduled_runs_are_one_partition_after_another_each_once_it_is_over() -> None:
    restriction = TimeRestriction(earliest=moment("2013-01-01"), latest=moment("2013-01-03"), catchup=True)
    runs = []
    last = None
    while info := DAILY.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        runs.append((info.logical_date, info.run_after))
        last = info.data_interval

    days = [moment(f"2013-01-0{day}") for day in (1, 2, 3)]
    assert runs == [(day, day + timedelta(days=1)) for day in days]


@pytest.mark.parametrize("timetable", [DAILY, HOURLY])
def test_the_scheduler_gets_the_same_timetable_back(timetable: PartitionTimetable) -> None:
    back = decode_timetable(encode_timetable(timetable))

    assert type(back).__name__ == "PartitionTimetable"
    assert back == timetable
    date = moment("2013-01-15T12:34")
    assert back.infer_manual_data_interval(run_after=date) == timetable.infer_manual_data_interval(run_after=date)
