"""What survives of ECS: its records; and what must not: its processes."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import psutil
import pytest

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.fargate import Fargate
from localcloud.testing.waiting import wait_for

pytestmark = pytest.mark.chaos

TREE = """
import os, subprocess, sys, time

sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
print(os.getcwd(), os.getpid(), *(child.pid for child in children), flush=True)
time.sleep(600)
"""
NOTICE = "The embedded cloud ended while the task ran."


@pytest.fixture
def cloud(localcloud: LocalCloud) -> Cloud:
    return localcloud.up()


def running(fargate: Fargate) -> tuple[str, Path, list[psutil.Process]]:
    """Start a task of several processes; return its ARN, its folder and its processes."""
    arn = fargate.run(fargate.register(TREE), startedBy="me", tags=[{"key": "kept", "value": "yes"}])
    fargate.running(arn)
    [line] = wait_for(lambda: fargate.lines(arn), what="a line")
    folder, *pids = line.split()
    return arn, Path(folder), [psutil.Process(int(pid)) for pid in pids]


def alive(processes: list[psutil.Process]) -> bool:
    return any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


@pytest.mark.parametrize("end", ["down", "kill"])
def test_tasks_end_with_their_cloud_and_are_known_after_it(localcloud: LocalCloud, cloud: Cloud, end: str) -> None:
    fargate = Fargate(cloud, "kept")
    done = fargate.result("print(1)")
    arn, folder, processes = running(fargate)
    guard = processes[0].parent()
    assert guard is not None
    assert alive(processes)

    if end == "down":
        localcloud.down()
    else:
        localcloud.kill("emulator")
    wait_for(lambda: not alive([guard, *processes]), seconds=10, what="end of all processes of the task")

    localcloud.up()
    assert not folder.exists()
    task = fargate.task(arn)
    assert (task["lastStatus"], task["desiredStatus"]) == ("STOPPED", "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("TerminationNotice", NOTICE)
    container = task["containers"][0]
    assert (container["lastStatus"], container["reason"]) == ("STOPPED", NOTICE)
    assert "exitCode" not in container
    assert task["startedAt"] <= task["executionStoppedAt"] <= task["stoppedAt"]
    assert fargate.task(done["taskArn"]) == done, "what had ended is as it was"
    assert fargate.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "kept", "value": "yes"}]
    listed = fargate.ecs.list_tasks(cluster="kept", desiredStatus="STOPPED", startedBy="me")["taskArns"]
    assert listed == [arn]
    assert fargate.register("print(1)").endswith(":3"), "revisions go on"
    assert fargate.stopped(fargate.run("kept"))["containers"][0]["exitCode"] == 0


def test_a_task_ends_with_its_guard(cloud: Cloud) -> None:
    fargate = Fargate(cloud, "guarded")
    arn, _, processes = running(fargate)
    guard = processes[0].parent()
    assert guard is not None
    guard.kill()
    task = fargate.stopped(arn)
    assert task["containers"][0]["exitCode"] == 137
    of_its_group, in_its_own = processes[:2], processes[2]
    wait_for(lambda: not alive(of_its_group), seconds=10, what="end of the container's group")
    in_its_own.kill()


def test_a_container_ends_with_its_guard_also_if_its_cloud_can_not_act(localcloud: LocalCloud, cloud: Cloud) -> None:
    """As if both were killed at once."""
    _, _, processes = running(Fargate(cloud, "orphaned"))
    guard = processes[0].parent()
    assert guard is not None
    emulator = localcloud.processes()["emulator"]
    emulator.suspend()
    try:
        guard.kill()
        wait_for(lambda: not alive(processes[:1]), seconds=10, what="end of the container's process")
    finally:
        emulator.resume()
        for process in processes[1:]:
            process.kill()


def test_a_stopped_task_is_forgotten_after_an_hour(localcloud: LocalCloud, cloud: Cloud) -> None:
    fargate = Fargate(cloud, "old")
    old, new = (fargate.result("print(1)")["taskArn"] for _ in range(2))
    localcloud.down()
    with contextlib.closing(sqlite3.connect(localcloud.state / "emulator/state/state.sqlite")) as state, state:
        [[document]] = state.execute("SELECT document FROM documents WHERE service = 'ecs'")
        changed, count = re.subn(
            rf'("taskArn": "{old}", "clusterArn".*?"stoppedAt": )(\d+)',
            lambda match: f"{match[1]}{int(match[2]) - 3601}",
            document,
        )
        assert count == 1
        state.execute("UPDATE documents SET document = ? WHERE service = 'ecs'", [changed])
    localcloud.up()
    answer = fargate.ecs.describe_tasks(cluster="old", tasks=[old, new])
    assert [task["taskArn"] for task in answer["tasks"]] == [new]
    assert answer["failures"] == [{"arn": old, "reason": "MISSING"}]


def test_the_same_token_starts_a_task_once_also_after_a_kill(localcloud: LocalCloud, cloud: Cloud) -> None:
    fargate = Fargate(cloud, "tokens")
    definition = fargate.register("print(1)")
    first = fargate.run(definition, clientToken="one")
    localcloud.kill("emulator")
    localcloud.up()
    assert fargate.run(definition, clientToken="one") == first
