"""A timetable that maps each run to one time partition, by whichever way the run was started."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import DateTime
from typing_extensions import override

from sluice.lake.grains import Grain
from sluice.lake.partitions import Calendar, Partition


class PartitionTimetable(Timetable):
    """Runs whose logical date is the start of a partition, and whose name is the partition's label.

    It schedules nothing by itself: the dispatch DAG starts a run once the partition is complete, so that no run has to
    wait. A backfill gets its runs here. A manual run, or ``dags test``, is for the partition that contains its date;
    with Airflow's own timetable it would be for the one before.

    Args:
        every: The length of a partition.
        zone: The IANA name of the zone at whose midnights partitions start.
    """

    description = "When a partition is complete"

    def __init__(self, every: Grain, zone: str = "UTC") -> None:
        self._calendar = Calendar(every, zone)

    @classmethod
    @override
    def deserialize(cls, data: dict[str, Any]) -> PartitionTimetable:
        return cls(**data)

    @override
    def serialize(self) -> dict[str, Any]:
        return {"every": self._calendar.every, "zone": self._calendar.zone}

    @property
    @override
    def summary(self) -> str:
        where = "" if self._calendar.zone == "UTC" else f" of {self._calendar.zone}"
        return f"each {self._calendar.every}{where}, once its data is there"

    @override
    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        # Only a backfill passes catchup=True. The scheduler passes the DAG's own value, False.
        if not restriction.catchup or restriction.earliest is None:
            return None
        found = self._calendar.of_run(restriction.earliest)
        if last_automated_data_interval is not None:
            last = Partition.containing(last_automated_data_interval.start, self._calendar)
            found = max(found, last.shift(1))
        if restriction.latest is not None and found > self._calendar.of_run(restriction.latest):
            return None
        # The grid of the web UI shows run_after. It must show the start of the partition, not its end.
        return DagRunInfo(run_after=_moment(found.start), data_interval=_interval(found))

    @override
    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        return _interval(self._calendar.of_run(run_after))

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
        return Partition.containing(data_interval.start, self._calendar).label


def _interval(partition: Partition) -> DataInterval:
    return DataInterval(start=_moment(partition.start), end=_moment(partition.end))


def _moment(moment: datetime) -> DateTime:
    return pendulum.instance(moment, tz="UTC")
