"""A step that runs elsewhere holds no worker slot, and is stopped when a user stops its task."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from tests.conftest import Cloud
from tests.dags.airflow_home import aws_connection
from tests.sluice.compute.conftest import Elsewhere, elsewhere
from tests.sluice.compute.running import DAY, made, records
from tests.sluice.conftest import aws

from localcloud.testing.waiting import wait_for
from sluice_airflow.probes import Probe, Waiting
from sluice_airflow.steps import StepOperator
from sluice_airflow.triggers import StepTrigger

__all__ = ["aws", "elsewhere"]

SLOW = """
import time

def doubled(conform):
    time.sleep(120)
    return conform
"""
HOLDS_A_GIGABYTE = """
import time

def doubled(conform):
    held = bytearray(1000 * 1024 * 1024)
    time.sleep(0.5)
    return conform.assign(value=conform["value"] * 2 + len(held) * 0)
"""


@pytest.fixture(autouse=True)
def connected(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(cloud.endpoint_url, cloud.sagemaker_endpoint_url))


def operator(made_by: Elsewhere) -> StepOperator:
    return StepOperator(task_id="doubled", pipeline=made_by.name, step="doubled", partitions=DAY)


def deferred(task: StepOperator, context: Any = None) -> StepTrigger:
    with pytest.raises(TaskDeferred) as waiting:
        task.execute(context or {})
    trigger = waiting.value.trigger
    assert isinstance(trigger, StepTrigger)
    return trigger


def event_of(trigger: StepTrigger) -> dict[str, Any]:
    """Return the event of a trigger whose wait is over."""
    wait_for(lambda: not isinstance(Probe(trigger.probe, **trigger.arguments)(), Waiting), what="the end of the step")
    return {"found": True, "carried": trigger.carried}


def test_worker_runs_the_step_in_the_task(elsewhere: Elsewhere) -> None:
    elsewhere.make("Worker()")

    assert operator(elsewhere).execute({}) == {
        "partitions": DAY,
        "held_back": 0,
        "changed": 1,
        "rows_in": 1,
        "rows_out": 1,
        "rejected": 0,
    }


@pytest.mark.slow
def test_step_elsewhere_is_awaited_by_a_trigger(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)")
    task = operator(elsewhere)

    trigger = deferred(task)

    assert trigger.waiting_for == f"step 'doubled' of {elsewhere.name} over {DAY} on Lambda with 512 MB (declared)"
    summary = task.resume({}, event_of(trigger))
    assert (summary["changed"], summary["partitions"]) == (1, DAY)
    assert made(workspace).revision == 1
    assert operator(elsewhere).execute({})["changed"] == 0


@pytest.mark.slow
def test_user_who_stops_the_task_stops_the_task_on_fargate(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Fargate(vcpu=0.25, memory_gb=0.5)", SLOW)
    trigger = deferred(operator(elsewhere))
    wait_for(lambda: "1-claim.json" in records(workspace), what="a claim")

    asyncio.run(trigger.on_kill())

    arn = trigger.arguments["reference"]["task"]
    ecs = workspace.aws.client("ecs")
    wait_for(
        lambda: ecs.describe_tasks(cluster=elsewhere.name, tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED",
        what="the end of the task",
    )
    with pytest.raises(AirflowException, match="was stopped from outside"):
        operator(elsewhere).resume({}, event_of(trigger))


@pytest.mark.slow
def test_run_that_needs_more_memory_moves_up_in_the_same_task(elsewhere: Elsewhere) -> None:
    elsewhere.make("Auto(small=Lambda(memory_mb=1024), large=Fargate(vcpu=0.25, memory_gb=0.5))", HOLDS_A_GIGABYTE)
    task = operator(elsewhere)

    with pytest.raises(TaskDeferred) as waiting:
        task.resume({}, event_of(deferred(task)))
    larger = waiting.value.trigger

    assert isinstance(larger, StepTrigger)
    assert "moved up: memory was short on Lambda with 1,024 MB" in larger.waiting_for
    assert task.resume({}, event_of(larger))["ran"].startswith("on Fargate with 0.25 vCPU and 2,048 MB")


def test_wait_that_ends_without_a_result_fails_the_task(elsewhere: Elsewhere) -> None:
    since = elsewhere.make("Lambda(memory_mb=512)").lake.now().isoformat()
    reference = {"work": "0" * 64, "attempt": 1, "request": "none", "since": since}

    with pytest.raises(AirflowFailException, match="the step has no result in time; see its log, then clear this task"):
        operator(elsewhere).resume({}, {"timed_out": True, "waiting_for": "the step", "carried": reference})
    with pytest.raises(AirflowFailException, match="no such bucket"):
        operator(elsewhere).resume({}, {"error": "no such bucket", "refused": True, "carried": reference})
