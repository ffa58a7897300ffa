"""A run is the partition that holds its date, however it was started."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType

from sluice_airflow.timetable import PartitionTimetable

DAILY = PartitionTimetable("day")
HOURLY = PartitionTimetable("hour")
WEEKLY = PartitionTimetable("week")
MONTHLY = PartitionTimetable("month")
LOCAL = PartitionTimetable("day", "America/New_York")


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
        (WEEKLY, "2013-01-15T00:00", "2013-01-14", "2013-01-21"),
        (WEEKLY, "2013-01-20T23:59", "2013-01-14", "2013-01-21"),
        (MONTHLY, "2013-01-15T00:00", "2013-01-01", "2013-02-01"),
        (MONTHLY, "2012-02-29T12:00", "2012-02-01", "2012-03-01"),
        (LOCAL, "2013-01-15T00:00", "2013-01-15T05:00", "2013-01-16T05:00"),  # a date alone is one of the zone
        (LOCAL, "2013-01-15T04:59", "2013-01-14T05:00", "2013-01-15T05:00"),
        (LOCAL, "2013-03-10T00:00", "2013-03-10T05:00", "2013-03-11T04:00"),  # 23 hours
        (LOCAL, "2013-11-03T00:00", "2013-11-03T04:00", "2013-11-04T05:00"),  # 25 hours
        (LOCAL, "2013-11-03T04:00", "2013-11-03T04:00", "2013-11-04T05:00"),
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


@pytest.mark.parametrize(
    ("timetable", "first", "last", "starts"),
    [
        (DAILY, "2013-01-01", "2013-01-03", ["2013-01-01", "2013-01-02", "2013-01-03"]),
        (DAILY, "2013-01-01", "2013-01-01", ["2013-01-01"]),
        (HOURLY, "2013-01-01T07:30", "2013-01-01T09:00", ["2013-01-01T07:00", "2013-01-01T08:00", "2013-01-01T09:00"]),
        (WEEKLY, "2013-01-15", "2013-01-15", ["2013-01-14"]),
        (WEEKLY, "2013-01-15", "2013-01-31", ["2013-01-14", "2013-01-21", "2013-01-28"]),
        (MONTHLY, "2013-01-15", "2013-01-20", ["2013-01-01"]),
        (MONTHLY, "2012-11-30", "2013-02-01", ["2012-11-01", "2012-12-01", "2013-01-01", "2013-02-01"]),
        (LOCAL, "2013-03-09", "2013-03-11", ["2013-03-09T05:00", "2013-03-10T05:00", "2013-03-11T04:00"]),
        (LOCAL, "2013-11-02", "2013-11-04", ["2013-11-02T04:00", "2013-11-03T04:00", "2013-11-04T05:00"]),
        (
            PartitionTimetable("day", "Pacific/Apia"),  # there was no 30th
            "2011-12-28",
            "2011-12-31",
            ["2011-12-28T10:00", "2011-12-29T10:00", "2011-12-30T10:00"],
        ),
    ],
)
def test_backfill_has_one_run_for_each_partition_with_its_date(
    timetable: PartitionTimetable, first: str, last: str, starts: list[str]
) -> None:
    restriction = TimeRestriction(earliest=moment(first), latest=moment(last), catchup=True)
    assert [(info.logical_date, info.run_after) for info in _runs(timetable, restriction)] == [
        (moment(start), moment(start)) for start in starts
    ]


@pytest.mark.parametrize(
    ("timetable", "runs"),
    [(DAILY, 365), (WEEKLY, 53), (MONTHLY, 12), (LOCAL, 365), (PartitionTimetable("month", "Asia/Tokyo"), 12)],
)
def test_a_year_has_one_run_for_each_partition_and_they_meet(timetable: PartitionTimetable, runs: int) -> None:
    restriction = TimeRestriction(earliest=moment("2013-01-01"), latest=moment("2013-12-31"), catchup=True)
    intervals = [info.data_interval for info in _runs(timetable, restriction)]

    assert len(intervals) == runs
    assert all(one and other and one.end == other.start for one, other in pairwise(intervals))


def _runs(timetable: PartitionTimetable, restriction: TimeRestriction) -> Iterator[DagRunInfo]:
    last = None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        yield info
        last = info.data_interval


def test_scheduler_creates_no_run_because_the_dispatch_does() -> None:
    restriction = TimeRestriction(earliest=moment("2013-01-01"), latest=None, catchup=False)
    assert DAILY.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None


@pytest.mark.parametrize(
    ("timetable", "date", "run_after", "name"),
    [
        (DAILY, "2013-01-15T12:34", "2026-01-01T10:00", "dt=2013-01-15"),
        (HOURLY, "2013-01-15T07:59", "2026-01-01T10:00", "dt=2013-01-15T07"),
        (WEEKLY, "2013-01-15", "2026-01-01T10:00", "week=2013-01-14"),
        (MONTHLY, "2013-01-15", "2026-01-01T10:00", "month=2013-01"),
        (LOCAL, "2013-01-15", "2026-01-01T10:00", "dt=2013-01-15"),
        (MONTHLY, "2026-01-01T09:00", "2026-01-15T10:00", "manual__2026-01-15T10:00:00+00:00"),
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


@pytest.mark.parametrize("timetable", [DAILY, HOURLY, WEEKLY, MONTHLY, LOCAL])
def test_timetable_survives_serialization(timetable: PartitionTimetable) -> None:
    back = decode_timetable(encode_timetable(timetable))

    assert type(back).__name__ == "PartitionTimetable"
    assert back.serialize() == timetable.serialize()
    date = moment("2013-01-15T12:34")
    assert back.infer_manual_data_interval(run_after=date) == timetable.infer_manual_data_interval(run_after=date)


def test_timetable_of_an_earlier_version_is_one_of_utc() -> None:
    """Airflow's database has what an earlier version has written, until the DAG is parsed again."""
    back = PartitionTimetable.deserialize({"every": "day"})

    assert back.serialize() == {"every": "day", "zone": "UTC"}


@pytest.mark.parametrize(
    ("timetable", "summary"),
    [
        (MONTHLY, "each month, once its data is there"),
        (LOCAL, "each day of America/New_York, once its data is there"),
    ],
)
def test_summary_says_what_a_run_is(timetable: PartitionTimetable, summary: str) -> None:
    assert timetable.summary == summary
