"""Tasks are stopped: by their user, by the end of Spot capacity, and never outlive it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.fargate import Fargate
from localcloud.testing.processes import is_running
from localcloud.testing.waiting import wait_for

SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
IGNORES = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
while True:
    time.sleep(600)
"""
OBEYS = """
import signal, sys, time
def end(*_):
    print("saved", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(600)
"""


def started(fargate: Fargate, script: str, **members: Any) -> str:
    """Run a script as a task, and wait until it has logged a line."""
    arn = fargate.run(fargate.register(script, **members.pop("container", {})), **members)
    fargate.running(arn)
    wait_for(lambda: fargate.lines(arn), what="a line")
    return arn


def test_a_stopped_task_gets_the_time_to_end(fargate: Fargate) -> None:
    arn = started(fargate, OBEYS)
    stopping = fargate.ecs.stop_task(cluster=fargate.name, task=arn, reason="no longer needed")["task"]
    assert (stopping["desiredStatus"], stopping["stoppedReason"]) == ("STOPPED", "no longer needed")
    task = fargate.stopped(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "no longer needed")
    assert task["containers"][0]["exitCode"] == 7
    assert fargate.lines(arn) == ["up", "saved"]
    assert task["stoppingAt"] <= task["executionStoppedAt"] <= task["stoppedAt"]


def test_a_task_that_does_not_end_is_killed_with_all_of_its_processes(fargate: Fargate) -> None:
    arn = started(fargate, IGNORES, container={"stopTimeout": 1})
    pids = [int(pid) for pid in fargate.lines(arn)[0].split()]
    assert all(is_running(pid) for pid in pids)
    began = time.monotonic()
    fargate.ecs.stop_task(cluster=fargate.name, task=arn.rpartition("/")[2])
    task = fargate.stopped(arn)
    assert 1 <= time.monotonic() - began < 20, "the stopTimeout counts, not the default of 30 seconds"
    assert task["containers"][0]["exitCode"] == 137
    assert "reason" not in task["containers"][0], "it is not out of memory"
    assert task["stoppedReason"] == "Task stopped by user"
    assert fargate.lines(arn)[1:] == ["asked"]
    assert not any(is_running(pid) for pid in pids)


def test_a_stop_counts_once_and_a_stopped_task_may_be_stopped(fargate: Fargate) -> None:
    arn = started(fargate, OBEYS)
    for reason in ("first", "second"):
        fargate.ecs.stop_task(cluster=fargate.name, task=arn, reason=reason)
    task = fargate.stopped(arn)
    assert task["stoppedReason"] == "first"
    assert fargate.ecs.stop_task(cluster=fargate.name, task=arn, reason="third")["task"]["stoppedReason"] == "first"
    assert fargate.task(arn)["version"] == task["version"]


def test_a_task_that_is_stopped_at_once_never_runs_or_is_stopped(fargate: Fargate) -> None:
    arn = fargate.run(fargate.register("import time; time.sleep(600)"))
    fargate.ecs.stop_task(cluster=fargate.name, task=arn)
    task = fargate.stopped(arn)
    assert task["stopCode"] == "UserInitiated"
    assert task["containers"][0].get("exitCode") in (None, 143)


def test_a_task_that_is_not_there_can_not_be_stopped(fargate: Fargate) -> None:
    with pytest.raises(fargate.ecs.exceptions.InvalidParameterException, match="The referenced task was not found"):
        fargate.ecs.stop_task(cluster=fargate.name, task="0" * 32)
    with pytest.raises(fargate.ecs.exceptions.ClusterNotFoundException, match="Cluster not found"):
        fargate.ecs.stop_task(cluster="none", task="0" * 32)
    with pytest.raises(fargate.ecs.exceptions.InvalidParameterException, match=f"Your cluster is {fargate.name}"):
        fargate.ecs.stop_task(cluster=fargate.name, task="arn:aws:ecs:us-east-1:000000000000:task/other/" + "0" * 32)


def test_a_task_on_spot_is_interrupted_by_a_tag(fargate: Fargate) -> None:
    arn = started(fargate, OBEYS, capacityProviderStrategy=SPOT)
    assert fargate.task(arn)["capacityProviderName"] == "FARGATE_SPOT"
    fargate.ecs.tag_resource(resourceArn=arn, tags=[{"key": "localcloud:interrupt", "value": ""}])
    task = fargate.stopped(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("SpotInterruption", "Your Spot Task was interrupted.")
    assert task["containers"][0]["exitCode"] == 7
    assert fargate.lines(arn) == ["up", "saved"]


def test_a_task_that_is_not_on_spot_is_not_interrupted(fargate: Fargate) -> None:
    arn = started(fargate, OBEYS)
    with pytest.raises(ClientError, match="Only a task on FARGATE_SPOT can be interrupted"):
        fargate.ecs.tag_resource(resourceArn=arn, tags=[{"key": "localcloud:interrupt", "value": ""}])
    assert fargate.task(arn)["desiredStatus"] == "RUNNING"
    fargate.ecs.stop_task(cluster=fargate.name, task=arn)


def test_a_cluster_with_tasks_can_not_be_deleted(fargate: Fargate) -> None:
    arn = started(fargate, OBEYS)
    with pytest.raises(fargate.ecs.exceptions.ClusterContainsTasksException, match="while Tasks are active"):
        fargate.ecs.delete_cluster(cluster=fargate.name)
    fargate.ecs.stop_task(cluster=fargate.name, task=arn)
    fargate.stopped(arn)
    assert fargate.ecs.delete_cluster(cluster=fargate.name)["cluster"]["status"] == "INACTIVE"
