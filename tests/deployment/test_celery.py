"""Celery workers make what one machine makes, also where a worker, the broker or a component is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from deploy.fleet import Fleet, Outcome, Run, running_fleet
from deploy.worker import _namespace, name_of
from tests.calendars import utc_ranges
from tests.dags.lake_content import LakeContent

from localcloud.testing.waiting import wait_for
from pipelines.flights import data
from pipelines.flights.events import events_of_days

_DAYS, _DAYS_OF_FAULTS = 60, 14
_SHORT = {
    # Of every scheduler, because only the one that has queued a task finds that it is lost.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
}
_HOSTS = {"worker-1", "worker-2"}


@contextmanager
def _landed(days: int) -> Iterator[Fleet]:
    """Run two workers, in a folder whose path is short, with days that are landed and not transformed."""
    with (
        tempfile.TemporaryDirectory(prefix="sluice-") as folder,
        running_fleet(Path(folder) / "fleet", days, 2, **_SHORT) as fleet,
    ):
        fleet.land()
        yield fleet


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with _landed(_DAYS_OF_FAULTS) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def expected(fleet: Fleet) -> Outcome:
    """What one machine makes."""
    return fleet.on_one_machine()


@pytest.fixture
def begun(fleet: Fleet, expected: Outcome) -> str:
    """A run whose first step has written a partition and not all of them."""
    fleet.forget()
    run_id = fleet.begin()
    wait_for(lambda: fleet.workspace.lake.partitions("conform"), seconds=120, what="a partition")
    return run_id


def _raw_ids(fleet: Fleet) -> list[str]:
    lake = fleet.workspace.lake
    content = LakeContent(lake.s3, lake.bucket, lake.pipeline)
    days = [partition.key for partition in fleet.days]
    return sorted(str(each) for day in days for each in content.table("raw/events", day)["event_id"])


def _sent_ids(fleet: Fleet) -> list[str]:
    days = [date.fromisoformat(partition.key.removeprefix("dt=")) for partition in fleet.days]
    return sorted(event.id for events in events_of_days(data.flights(), days).values() for event in events)


def _announced(fleet: Fleet) -> list[tuple[Any, ...]]:
    """Take every completion event that waits; return what identifies each, without another run's name."""
    sqs, queue = fleet.workspace.aws.client("sqs"), fleet.workspace.resources.completions_queue
    taken: list[tuple[Any, ...]] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        bodies = [json.loads(message["Body"]) for message in messages]
        taken += [tuple(body[name] for name in ("stage", "subject", "revision", "checksum")) for body in bodies]
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return taken


def _require_whole(fleet: Fleet, run: Run, expected: Outcome) -> None:
    """Require that no task failed for good, and that the run has made what one machine makes."""
    assert {task["state"] for task in run.tasks} == {"success"}
    assert run.state == "success"
    assert fleet.outcome() == expected


def _tree(fleet: Fleet, program: str) -> list[psutil.Process]:
    main = psutil.Process(fleet.pid(program))
    return [main, *main.children(recursive=True)]


def _send(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_sixty_days_are_the_same_on_two_workers_and_on_one_machine() -> None:
    with _landed(_DAYS) as fleet:
        expected = fleet.on_one_machine()
        fleet.forget()

        run = fleet.transform()

        assert len(expected.features) == _DAYS
        _require_whole(fleet, run, expected)
        assert set(run.hosts) == _HOSTS
        assert {task["try_number"] for task in run.tasks} == {1}
        assert _raw_ids(fleet) == _sent_ids(fleet)
        announced = _announced(fleet)
        assert len(announced) == len(set(announced)) == 2 * _DAYS


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_worker_killed_in_the_middle_of_a_chunk_loses_nothing(fleet: Fleet, expected: Outcome, begun: str) -> None:
    """All workers stand still while the one is chosen: a chunk takes only a second or two."""
    trees = {host: _tree(fleet, f"worker:{host}") for host in _HOSTS}
    _send([process for tree in trees.values() for process in tree], signal.SIGSTOP)
    done = set(fleet.workspace.lake.partitions("conform"))
    tasks = [task for task in fleet.tasks(begun) if task["task_id"] == "conform" and task["state"] == "running"]
    chunks = {task["map_index"]: set(utc_ranges(task["rendered_map_index"])) for task in tasks}
    killed = next(task for task in tasks if chunks[task["map_index"]] & done and chunks[task["map_index"]] - done)
    _send(trees[killed["hostname"]], signal.SIGKILL)
    _send([process for tree in trees.values() for process in tree], signal.SIGCONT)

    run = fleet.ended(begun)

    _require_whole(fleet, run, expected)
    tries = {(task["task_id"], task["map_index"]): task["try_number"] for task in run.tasks}
    assert tries["conform", killed["map_index"]] == 2
    assert set(run.hosts) == _HOSTS


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_broker_that_restarts_fails_no_task(fleet: Fleet, expected: Outcome, begun: str) -> None:
    fleet.control("restart", "redis")

    run = fleet.ended(begun)

    _require_whole(fleet, run, expected)
    assert {task["try_number"] for task in run.tasks} == {1}


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_api_server_that_restarts_fails_no_run(fleet: Fleet, expected: Outcome, begun: str) -> None:
    fleet.control("restart", "api-server")

    _require_whole(fleet, fleet.ended(begun), expected)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_second_scheduler_goes_on_when_the_first_is_killed(fleet: Fleet, expected: Outcome) -> None:
    fleet.control("start", "second-scheduler")
    alive = "jobs?job_type=SchedulerJob&is_alive=true"
    wait_for(lambda: fleet.checkout.call(alive)["total_entries"] == 2, seconds=120, what="two schedulers")
    fleet.forget()
    run_id = fleet.begin()
    wait_for(lambda: fleet.workspace.lake.partitions("conform"), seconds=120, what="a partition")
    first = _tree(fleet, "scheduler")
    _send(first, signal.SIGKILL)
    fleet.control("stop", "scheduler")  # supervisord would start it again

    run = fleet.ended(run_id)

    _require_whole(fleet, run, expected)
    assert {task["try_number"] for task in run.tasks} == {1}
    fleet.control("start", "scheduler")
    fleet.control("stop", "second-scheduler")


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_each_content_was_announced_once_whatever_was_killed(fleet: Fleet, expected: Outcome) -> None:
    announced = _announced(fleet)

    assert len(announced) == len(set(announced)) == 2 * _DAYS_OF_FAULTS
    assert _raw_ids(fleet) == _sent_ids(fleet)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_check_asks_the_component_of_its_own_host(fleet: Fleet) -> None:
    def status(host: str, component: str) -> int:
        """Return the exit status of a check on a host of that name."""
        check = f"hostname {host} && exec .venv/bin/python deploy/health.py {component}"
        return subprocess.run(
            [*_namespace()[:1], "--uts", *_namespace()[3:], "sh", "-c", check],
            cwd=fleet.checkout.folder,
            env=dict(fleet.checkout.settings),
            timeout=60,
            check=False,
        ).returncode

    fleet.control("stop", "worker:worker-2")
    assert [status(host, "worker") for host in ("worker-1", "worker-2")] == [0, 1]
    here = os.uname().nodename
    assert [status(host, "SchedulerJob") for host in (here, "elsewhere")] == [0, 1]
    assert [status(here, job) for job in ("TriggererJob", "DagProcessorJob")] == [0, 0]
    fleet.control("start", "worker:worker-2")


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_worker_without_namespaces_has_an_address_of_its_own(fleet: Fleet, expected: Outcome) -> None:
    settings = fleet.checkout.settings
    command = [".venv/bin/python", "-m", "deploy.worker", "3"]
    log = fleet.checkout.folder / "worker-3.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            command, cwd=fleet.checkout.folder, env={**settings, "PATH": "/none"}, stdout=output, stderr=output
        )
    try:
        ping = f"from deploy.health import workers_answer; exit(not workers_answer(['{name_of(3)}']))"
        wait_for(lambda: fleet.checkout.program("python", "-c", ping).returncode == 0, seconds=120, what="worker 3")
        assert os.readlink(f"/proc/{worker.pid}/ns/net") == os.readlink("/proc/self/ns/net")
        fleet.control("stop", "worker:*")
        fleet.forget()

        run = fleet.transform()

        _require_whole(fleet, run, expected)
        assert set(run.hosts) == {"127.0.0.13"}
    finally:
        worker.terminate()
        worker.wait(60)
