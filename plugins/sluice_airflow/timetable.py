"""A timetable that maps each run to one time partition, by whichever way the run was started."""

from __future__ import annotations

from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime
from typing_extensions import override

from sluice.lake.partitions import Grain, Partition

_CRON: dict[Grain, str] = {"day": "0 0 * * *", "hour": "0 * * * *"}


class PartitionTimetable(CronDataIntervalTimetable):
    """Runs whose logical date is the start of a partition, and whose name is the partition's label.

    It schedules nothing by itself: the dispatch DAG starts a run once the partition is complete, so that no run has to
    wait. A backfill gets its runs here. A manual run, or ``dags test``, is for the partition that contains its date;
    with Airflow's own timetable it would be for the one before.

    Args:
        every: The length of a partition, ``day`` or ``hour`` (UTC).
    """

    description = "When a partition is complete"

    def __init__(self, every: Grain) -> None:
        super().__init__(_CRON[every], timezone="UTC")
        self._every = every

    @classmethod
    @override
    def deserialize(cls, data: dict[str, Any]) -> PartitionTimetable:
        return cls(data["every"])

    @override
    def serialize(self) -> dict[str, Any]:
        return {"every": self._every}

    @property
    @override
    def summary(self) -> str:
        return f"each {self._every}, once its data is there"

    @override
    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        # Only a backfill passes catchup=True. The scheduler passes the DAG's own value, False.
        if not restriction.catchup:
            return None
        found = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if found is None or found.data_interval is None:
            return None
        # The grid of the web UI shows run_after. It must show the start of the partition, not its end.
        return DagRunInfo(run_after=found.data_interval.start, data_interval=found.data_interval)

    @override
    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        start = self._align_to_prev(run_after)
        return DataInterval(start=start, end=self._get_next(start))

    @override
    def generate_run_id(self, *, data_interval: DataInterval | None, run_after: DateTime, **more: Any) -> str:
        """Return the partition's label; for a run whose date is now, as the web UI proposes, Airflow's own name.

        Args:
            data_interval: The partition of the run.
            run_after: When the run may start.
            more: What only Airflow's own name needs.
        """
        if data_interval is None or data_interval.start <= run_after < data_interval.end:
            return super().generate_run_id(data_interval=data_interval, run_after=run_after, **more)
        return Partition.containing(data_interval.start, self._every).label
