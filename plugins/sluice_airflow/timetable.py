"""A timetable that maps each run to one time partition, however the run was started."""

from __future__ import annotations

from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime

from sluice.lake.partitions import Grain, Partition

_CRON: dict[Grain, str] = {"day": "0 0 * * *", "hour": "0 * * * *"}


class PartitionTimetable(CronDataIntervalTimetable):
    """Runs whose logical date is the start of a partition, and whose name is the partition's label.

    It schedules nothing by itself: the dispatch DAG starts a run once the partition is complete, so that no run has to
    wait. A backfill still gets its runs here. A manual run, or ``dags test``, means the partition that contains its
    date; the stock timetable returns the one before.
    """

    description = "When a partition is complete"

    def __init__(self, every: Grain) -> None:
        super().__init__(_CRON[every], timezone="UTC")
        self._every = every

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PartitionTimetable:
        return cls(data["every"])

    def serialize(self) -> dict[str, Any]:
        return {"every": self._every}

    @property
    def summary(self) -> str:
        return f"each {self._every}, once complete"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        # Only a backfill passes catchup=True; the scheduler passes the DAG's own, which is off.
        if not restriction.catchup:
            return None
        found = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if found is None or found.data_interval is None:
            return None
        # The grid shows run_after: the start of the partition, not its end.
        return DagRunInfo(run_after=found.data_interval.start, data_interval=found.data_interval)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        start = self._align_to_prev(run_after)
        return DataInterval(start=start, end=self._get_next(start))

    def generate_run_id(self, *, data_interval: DataInterval | None, run_after: DateTime, **more: Any) -> str:
        """The partition's label. A run whose date is just now, as the UI suggests, is called what Airflow calls it."""
        if data_interval is None or data_interval.start <= run_after < data_interval.end:
            return super().generate_run_id(data_interval=data_interval, run_after=run_after, **more)
        return Partition.containing(data_interval.start, self._every).label
