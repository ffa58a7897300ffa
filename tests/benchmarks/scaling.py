"""What a task costs on Celery workers, and how much four workers do in the time of one.

The tasks wait and compute nothing, so that the workers do not compete for the cores of this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.checkout import CELERY, Checkout, make_checkout

from localcloud.testing.waiting import wait_for

_DAG = '''
"""Mapped tasks that wait."""

import time

from airflow.sdk import DAG, task

with DAG("waits", schedule=None, params={"tasks": 1, "seconds": 0}):

    @task
    def numbers(params=None) -> list[int]:
        return list(range(params["tasks"]))

    @task
    def wait(number: int, params=None) -> None:
        time.sleep(params["seconds"])

    wait.expand(number=numbers())
'''
_LONGEST_RUN = 900
_SHORT_TASKS, _LONG_TASKS, _LONG_SECONDS = 32, 12, 20


@dataclass(frozen=True)
class Task:
    """What a task takes that does nothing.

    Attributes:
        seconds: From its start to that of the next, where one runs after another.
        queued_a_second: How many the scheduler queues in a second.
    """

    seconds: float
    queued_a_second: float


@dataclass(frozen=True)
class Bench:
    """Airflow in a checkout of its own, each worker of which runs one task at once."""

    checkout: Checkout

    def task(self) -> Task:
        """Return what a task takes that does nothing."""
        tasks = self._ran(_SHORT_TASKS, 0)
        queued = [_moment(task, "queued_when") for task in tasks]
        return Task(_seconds(tasks) / _SHORT_TASKS, (_SHORT_TASKS - 1) / (max(queued) - min(queued)))

    def waiting_seconds(self, workers: int) -> float:
        """Return what a dozen tasks take that wait for 20 seconds each.

        Args:
            workers: How many workers run, at least those that ran before.
        """
        status, output = self.checkout.run("up", WORKERS=str(workers))
        assert status == 0, output
        return _seconds(self._ran(_LONG_TASKS, _LONG_SECONDS))

    def _ran(self, tasks: int, seconds: float) -> list[dict[str, Any]]:
        body = {"logical_date": None, "conf": {"tasks": tasks, "seconds": seconds}}
        run = f"dags/waits/dagRuns/{quote(self.checkout.call('dags/waits/dagRuns', body)['dag_run_id'], safe='')}"
        wait_for(
            lambda: self.checkout.call(run)["state"] in ("success", "failed"),
            seconds=_LONGEST_RUN,
            what="the run's end",
        )
        found = self.checkout.call(f"{run}/taskInstances?limit=1000")["task_instances"]
        waited = [task for task in found if task["task_id"] == "wait"]
        assert [task["state"] for task in waited] == ["success"] * tasks
        return waited


def _moment(task: dict[str, Any], name: str) -> float:
    return datetime.fromisoformat(task[name]).timestamp()


def _seconds(tasks: list[dict[str, Any]]) -> float:
    """Return the seconds from the first start to the last end."""
    return max(_moment(task, "end_date") for task in tasks) - min(_moment(task, "start_date") for task in tasks)


@contextmanager
def bench(*, celery: bool) -> Iterator[Bench]:
    """Run Airflow with one slot: on a Celery worker, or as `make up` does."""
    one = "AIRFLOW__CELERY__WORKER_CONCURRENCY" if celery else "AIRFLOW__CORE__PARALLELISM"
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        dags = Path(folder) / "dags"
        dags.mkdir()
        (dags / "waits.py").write_text(_DAG)
        more = CELERY.read_text() if celery else ""
        checkout = make_checkout(Path(folder) / "bench", dags, more=more, settings={one: "1", "WORKERS": "1"})
        try:
            status, output = checkout.run("up")
            assert status == 0, output
            wait_for(lambda: checkout.call("dags")["total_entries"], seconds=120, what="the DAG")
            yield Bench(checkout)
        finally:
            checkout.run("down")


def figures() -> Iterator[tuple[str, float]]:
    """Yield each figure with its key."""
    with bench(celery=False) as local:
        beside = local.task()
    with bench(celery=True) as fleet:
        task = fleet.task()
        yield "celery_task_seconds", task.seconds
        yield "celery_task_ratio", task.seconds / beside.seconds
        yield "scheduler_tasks_per_second", task.queued_a_second
        one = fleet.waiting_seconds(1)
        yield "scale_ratio_2", one / fleet.waiting_seconds(2)
        yield "scale_ratio_4", one / fleet.waiting_seconds(4)
