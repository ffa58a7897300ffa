"""A LocalExecutor that tracks which task instances its worker processes run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.executors.local_executor import LocalExecutor


class RememberingLocalExecutor(LocalExecutor):
    """Starts the second part of a deferrable task only after it has read the report on the first part.

    A deferrable task runs in two parts under one key. Airflow 3.3's LocalExecutor never fills ``running``. So under
    load it starts the second part before it has read the report on the first. The scheduler then takes that report for
    the end of the second part, and fails the try: "finished with state success, but the task instance's state attribute
    is queued" (apache/airflow issues 67287 and 72716). With ``running`` filled, ``parallelism`` also limits how many
    task instances wait in the workers' pipe.
    """

    def _get_workloads_to_schedule(self, open_slots: int) -> list[tuple[Any, Any]]:
        # Take more than there are free slots: a task instance that must wait must not keep another one from running.
        ready = [
            (key, workload)
            for key, workload in super()._get_workloads_to_schedule(open_slots + len(self.running))
            if key not in self.running
        ]
        return ready[: max(open_slots, 0)]

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        self.running.update(workload.key for workload in workload_list)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]

    def _check_workers(self) -> None:
        # A worker that was killed reports nothing: its task instance must not keep its slot.
        if any(not worker.is_alive() for worker in self.workers.values()):
            self.running.clear()
        super()._check_workers()  # type: ignore[no-untyped-call]
