"""What holds for a step on Fargate alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import made, records, result, run, runtime, start

from localcloud.testing.waiting import wait_for
from sluice.aws.failures import is_transient
from sluice.compute import containers
from sluice.errors import RunInterrupted, SluiceError, StepOutgrown
from sluice.workspace import Workspace

pytestmark = pytest.mark.slow

FARGATE = "Fargate(vcpu=0.25, memory_gb=0.5)"
SLOW = """
import time

def doubled(conform):
    time.sleep(120)
    return conform
"""
KILLS_ALL = """
import os, signal

def doubled(conform):
    os.kill(os.getppid(), signal.SIGKILL)
    return conform
"""


def tag_cluster(workspace: Workspace, fault: str) -> None:
    """Ask the embedded cloud to refuse tasks."""
    ecs = workspace.aws.client("ecs")
    arn = ecs.describe_clusters(clusters=[workspace.pipeline.name])["clusters"][0]["clusterArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "localcloud:run-task", "value": fault}])


def task_of(workspace: Workspace, arn: str) -> dict[str, Any]:
    found = workspace.aws.client("ecs").describe_tasks(cluster=workspace.pipeline.name, tasks=[arn], include=["TAGS"])
    task: dict[str, Any] = found["tasks"][0]
    return task


def begun(workspace: Workspace) -> None:
    wait_for(lambda: "1-claim.json" in records(workspace), what="a claim")


def ended(workspace: Workspace, arn: str) -> None:
    wait_for(lambda: task_of(workspace, arn)["lastStatus"] == "STOPPED", what="the end of the task")


def test_task_is_named_by_its_work_and_has_the_tags_of_the_pipeline(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE)

    started = start(workspace)
    result(workspace, started)

    task = task_of(workspace, started.reference["task"])
    work = started.reference["work"]
    assert task["startedBy"] == f"sluice-{work[:24]}-1"
    assert (task["cpu"], task["memory"]) == ("256", "512")
    tags = {tag["key"]: tag["value"] for tag in task["tags"]}
    assert tags == {"sluice:pipeline": elsewhere.name, "sluice:work": work}


def test_cancelled_task_is_stopped(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE, SLOW)
    started = start(workspace)
    begun(workspace)

    runtime(workspace).cancel(started.reference)
    runtime(workspace).cancel(started.reference)
    ended(workspace, started.reference["task"])

    assert task_of(workspace, started.reference["task"])["stopCode"] == "UserInitiated"
    with pytest.raises(RunInterrupted, match="was stopped from outside"):
        runtime(workspace).look(started.reference)


def test_task_that_nobody_knows_is_stopped_already(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE)
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/{elsewhere.name}/{'0' * 32}"

    runtime(workspace).cancel({"task": arn, "work": "0" * 64, "attempt": 1})

    with pytest.raises(RunInterrupted, match="ended without a result: ECS knows it no more"):
        runtime(workspace).look({"task": arn, "work": "0" * 64, "attempt": 1})


def test_interrupted_spot_task_is_tried_again(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Fargate(vcpu=0.25, memory_gb=0.5, spot=True)", SLOW)
    started = start(workspace)
    begun(workspace)
    task = task_of(workspace, started.reference["task"])
    assert task["capacityProviderName"] == "FARGATE_SPOT"

    workspace.aws.client("ecs").tag_resource(
        resourceArn=task["taskArn"], tags=[{"key": "localcloud:interrupt", "value": "true"}]
    )
    ended(workspace, task["taskArn"])

    with pytest.raises(RunInterrupted) as interrupted:
        runtime(workspace).look(started.reference)
    assert is_transient(interrupted.value)
    again = start(workspace)
    assert again.reference["attempt"] == 2
    runtime(workspace).cancel(again.reference)


@pytest.mark.parametrize("fault", ["no-capacity", "capacity-exception"])
def test_missing_capacity_is_tried_again_for_a_while(
    elsewhere: Elsewhere, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_CAPACITY_SECONDS", 1)
    workspace = elsewhere.make(FARGATE)
    tag_cluster(workspace, fault)

    with pytest.raises(RunInterrupted, match=r"(?i)capacity.*it is tried again") as refused:
        start(workspace)

    assert is_transient(refused.value)


def test_region_without_spot_is_one_clear_line(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Fargate(vcpu=0.25, memory_gb=0.5, spot=True)")
    tag_cluster(workspace, "no-spot-in-region")

    with pytest.raises(SluiceError, match=r"there is no Fargate Spot here \(.*\); declare spot=False") as refused:
        start(workspace)

    assert not is_transient(refused.value)
    assert records(workspace) == []


def test_image_that_cannot_be_pulled_ends_the_wait(elsewhere: Elsewhere) -> None:
    elsewhere.declare(FARGATE)
    workspace = elsewhere.make(FARGATE, image="no-such-image")

    with pytest.raises(SluiceError, match=r"ended without a result: CannotPullContainerError") as failed:
        run(workspace)

    assert not is_transient(failed.value)
    assert not isinstance(failed.value, RunInterrupted | StepOutgrown)


def test_task_that_dies_with_all_it_has_leaves_the_end_of_its_log(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE, KILLS_ALL)

    with pytest.raises(SluiceError, match="ended without a result"):
        run(workspace)

    assert records(workspace) == ["1-claim.json", "1-result.json"]


def test_task_that_fails_before_it_begins_leaves_the_end_of_its_log(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE)
    workspace.aws.client("ssm").delete_parameter(Name=f"/sluice/{elsewhere.name}/bucket")  # so it finds no lake

    with pytest.raises(SluiceError, match="ended without a result") as failed:
        run(workspace)

    assert "; its log ends: " in str(failed.value)
    assert f"MissingResource: pipeline {elsewhere.name}: no parameter /sluice/{elsewhere.name}/b" in str(failed.value)
    assert records(workspace) == ["1-result.json"]


def test_result_outlives_its_task_and_who_waited(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE)
    started = start(workspace)
    ended(workspace, started.reference["task"])

    again = start(elsewhere.workspace())

    assert again.result is not None  # nothing is due
    assert made(workspace).revision == 1
    assert result(workspace, started)["rows_out"] == 1
    listed = workspace.aws.client("ecs").list_tasks(cluster=elsewhere.name, desiredStatus="STOPPED")["taskArns"]
    assert listed == [started.reference["task"]]
