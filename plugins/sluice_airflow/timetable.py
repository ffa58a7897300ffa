"""A timetable whose run is one time partition, however the run was started."""

from __future__ import annotations

from airflow.timetables.base import DataInterval
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime


class PartitionTimetable(CronDataIntervalTimetable):
    """Airflow's cron data intervals, but a manual run or ``dags test`` means the interval that holds its date.

    The stock timetable gives a manual run the interval before its date, so ``dags test flights_transform
    2013-01-15`` would transform the 14th.
    """

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        start = self._align_to_prev(run_after)
        return DataInterval(start=start, end=self._get_next(start))
