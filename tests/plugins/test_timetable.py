"""A run is the partition that holds its date, however it was started."""

from __future__ import annotations

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.types import DagRunType

from sluice_airflow.timetable import PartitionTimetable

DAILY = PartitionTimetable("day")
HOURLY = PartitionTimetable("hour")


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
def test_manual_run_covers_the_interval_of_its_date(
    timetable: PartitionTimetable, date: str, start: str, end: str
) -> None:
    interval = timetable.infer_manual_data_interval(run_after=moment(date))
    assert interval == DataInterval(start=moment(start), end=moment(end))


def test_date_of_another_time_zone_is_converted_to_utc() -> None:
    interval = DAILY.infer_manual_data_interval(run_after=pendulum.datetime(2013, 1, 14, 20, tz="America/New_York"))
    assert interval.start == moment("2013-01-15")


def test_backfill_has_one_run_for_each_partition_with_its_date() -> None:
    restriction = TimeRestriction(earliest=moment("2013-01-01"), latest=moment("2013-01-03"), catchup=True)
    runs = []
    last = None
    while info := DAILY.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        runs.append((info.logical_date, info.run_after))
        last = info.data_interval

    days = [moment(f"2013-01-0{day}") for day in (1, 2, 3)]
    assert runs == [(day, day) for day in days]


def test_scheduler_creates_no_run_because_the_dispatch_does() -> None:
    restriction = TimeRestriction(earliest=moment("2013-01-01"), latest=None, catchup=False)
    assert DAILY.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None


@pytest.mark.parametrize(
    ("timetable", "date", "run_after", "name"),
    [
        (DAILY, "2013-01-15T12:34", "2026-01-01T10:00", "dt=2013-01-15"),
        (HOURLY, "2013-01-15T07:59", "2026-01-01T10:00", "dt=2013-01-15T07"),
        (DAILY, "2026-01-01T09:00", "2026-01-01T10:00", "manual__2026-01-01T10:00:00+00:00"),
        (DAILY, None, "2026-01-01T10:00", "manual__2026-01-01T10:00:00+00:00"),
    ],
)
def test_run_has_the_name_of_its_partition(
    timetable: PartitionTimetable, date: str | None, run_after: str, name: str
) -> None:
    """A current date is what the UI suggests: it does not name the partition of such a run."""
    interval = None if date is None else timetable.infer_manual_data_interval(run_after=moment(date))
    found = timetable.generate_run_id(run_type=DagRunType.MANUAL, data_interval=interval, run_after=moment(run_after))
    assert found == name


@pytest.mark.parametrize("timetable", [DAILY, HOURLY])
def test_timetable_survives_serialization(timetable: PartitionTimetable) -> None:
    back = decode_timetable(encode_timetable(timetable))

    assert type(back).__name__ == "PartitionTimetable"
    assert back.serialize() == timetable.serialize()
    date = moment("2013-01-15T12:34")
    assert back.infer_manual_data_interval(run_after=date) == timetable.infer_manual_data_interval(run_after=date)
