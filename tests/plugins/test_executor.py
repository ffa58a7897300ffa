"""The executor keeps the two parts of a deferrable task apart, and no more work under way than it may."""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import SimpleQueue
from typing import Any

import pytest
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState

from sluice_airflow.executor import RememberingLocalExecutor


@dataclass(frozen=True)
class _TaskInstance:
    """The members of a task instance that the executor reads."""

    id: str
    key: TaskInstanceKey
    priority_weight: int = 1


@dataclass(frozen=True)
class _Workload:
    """The members of a workload that the executor reads."""

    ti: _TaskInstance

    @property
    def key(self) -> TaskInstanceKey:
        return self.ti.key


def _workload(name: str) -> _Workload:
    return _Workload(_TaskInstance(name, TaskInstanceKey("flights_train", name, "manual", 1, -1)))


@pytest.fixture
def executor() -> Iterator[RememberingLocalExecutor]:
    """An executor of two slots whose workers never report: the test reports in their place."""
    executor = RememberingLocalExecutor(parallelism=2)
    executor.activity_queue, executor.result_queue = SimpleQueue(), SimpleQueue()
    executor._unread_messages = multiprocessing.Value(ctypes.c_uint)
    sleepers = [multiprocessing.Process(target=time.sleep, args=(300,)) for _ in range(2)]
    for sleeper in sleepers:
        sleeper.start()
    executor.workers = {sleeper.pid or 0: sleeper for sleeper in sleepers}
    yield executor
    for sleeper in executor.workers.values():
        sleeper.kill()
        sleeper.join()


def _queue(executor: RememberingLocalExecutor, workload: Any) -> None:
    executor.queued_tasks[workload.key] = workload


def _handed_over(executor: RememberingLocalExecutor) -> list[str]:
    """Take the task ids out of the workers' pipe, and return them."""
    taken = []
    while not executor.activity_queue.empty():
        workload: Any = executor.activity_queue.get()
        taken.append(workload.ti.id)
    return taken


def test_second_part_waits_for_the_report_on_the_first(executor: RememberingLocalExecutor) -> None:
    deploy = _workload("deploy")
    _queue(executor, deploy)
    executor.heartbeat()
    assert _handed_over(executor) == ["deploy"]

    _queue(executor, deploy)  # it deferred, its trigger fired, and the worker's report is on its way
    executor.heartbeat()
    assert _handed_over(executor) == []

    executor.result_queue.put((deploy.key, TaskInstanceState.SUCCESS, None))
    executor.heartbeat()
    assert executor.get_event_buffer() == {deploy.key: (TaskInstanceState.SUCCESS, None)}
    # The scheduler checks this before it takes the report for the end of the second part.
    assert executor.has_task(deploy.ti)  # type: ignore[arg-type]

    executor.heartbeat()
    assert _handed_over(executor) == ["deploy"]


def test_held_back_task_takes_no_slot(executor: RememberingLocalExecutor) -> None:
    deploy = _workload("deploy")
    _queue(executor, deploy)
    executor.heartbeat()

    _queue(executor, deploy)
    for name in ("conform", "enrich"):
        _queue(executor, _workload(name))
    executor.heartbeat()

    assert _handed_over(executor) == ["deploy", "conform"]


def test_no_more_tasks_run_than_there_are_slots(executor: RememberingLocalExecutor) -> None:
    for name in ("conform", "enrich", "features"):
        _queue(executor, _workload(name))
    for _ in range(3):
        executor.heartbeat()

    assert _handed_over(executor) == ["conform", "enrich"]
    assert executor.slots_available < 1


def test_killed_worker_frees_its_slot(executor: RememberingLocalExecutor) -> None:
    for name in ("conform", "enrich"):
        _queue(executor, _workload(name))
    executor.heartbeat()
    killed = next(iter(executor.workers.values()))
    killed.kill()
    killed.join()
    executor.heartbeat()

    _queue(executor, _workload("features"))
    executor.activity_queue.get()
    executor.activity_queue.get()
    executor.trigger_tasks(2)

    assert _handed_over(executor) == ["features"]
