"""What holds for a step on Lambda alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.calendars import utc
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import DAY, STEP, made, records, result, runtime, start

from localcloud.testing.waiting import wait_for
from sluice.aws.failures import is_transient
from sluice.compute.attempts import Attempt, find_work
from sluice.compute.remote import RemoteRuntime
from sluice.errors import RunInterrupted, SluiceError, StepOutgrown
from sluice.workspace import Workspace

pytestmark = pytest.mark.slow

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
WAITS = """
import time

def doubled(conform):
    time.sleep(1)
    return conform.assign(value=conform["value"] * 2)
"""


def at(workspace: Workspace, later: timedelta) -> Workspace:
    """Return the workspace as it is at a later time."""
    now = workspace.lake.now() + later
    return replace(workspace, lake=replace(workspace.lake, now=lambda: now))


def test_too_much_time_ends_the_step_with_a_result(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512, seconds=10)", SLOW)

    with pytest.raises(StepOutgrown, match=r"needs more time than it has: it was ended after 5 s"):
        result(workspace, start(workspace))


def test_event_that_is_delivered_twice_has_one_effect(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)")
    work = find_work(workspace, STEP, DAY)
    there = runtime(workspace)
    assert isinstance(there, RemoteRuntime)
    request = there.request(work, "declared")
    function = workspace.aws.client("lambda")

    answers = [
        json.load(
            function.invoke(FunctionName=f"{elsewhere.name}-doubled", Payload=request.model_dump_json())["Payload"]
        )
        for _ in range(2)
    ]

    assert [answer["outcome"] for answer in answers] == ["done", "doubled"]
    assert answers[0]["manifests"] == [workspace.lake.layout.manifest(STEP, utc(DAY))]
    assert records(workspace) == ["1-claim.json", "1-result.json"]
    assert made(workspace).revision == 1


def test_function_that_dies_with_all_it_has_is_found_by_its_log(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)", KILLS_ALL)
    started = start(workspace)
    wait_for(lambda: records(workspace) == ["1-claim.json"], what="a claim")

    def lost() -> bool:
        try:
            return runtime(at(workspace, timedelta(seconds=60))).look(started.reference) is not None
        except SluiceError as error:
            found.append(error)
            return True

    found: list[SluiceError] = []
    wait_for(lost, what="an end")

    assert isinstance(found[0], RunInterrupted | StepOutgrown)
    assert f"function {elsewhere.name}-doubled ended without a result (request " in str(found[0])
    assert "; its log ends: " in str(found[0])
    assert records(workspace) == ["1-claim.json", "1-result.json"]


def test_handler_that_fails_before_it_begins_is_found_by_its_request(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)")
    workspace.aws.client("ssm").delete_parameter(Name=f"/sluice/{elsewhere.name}/bucket")  # so it finds no lake
    started = start(workspace)

    def failed() -> SluiceError | None:
        try:
            runtime(at(workspace, timedelta(seconds=60))).look(started.reference)
        except SluiceError as error:
            return error
        return None

    error = wait_for(failed, what="an end")

    assert not is_transient(error)
    assert f"function {elsewhere.name}-doubled failed before it began (request " in str(error)
    assert f"MissingResource: pipeline {elsewhere.name}: no parameter /sluice/{elsewhere.name}/bucket" in str(error)


def test_function_that_never_begins_is_given_up(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)")
    reference = {"work": "0" * 64, "attempt": 1, "request": "none", "since": workspace.lake.now().isoformat()}

    assert runtime(at(workspace, timedelta(hours=6))).look(reference) is None
    with pytest.raises(RunInterrupted, match=rf"{elsewhere.name}-doubled did not begin within 6:00:00") as failed:
        runtime(at(workspace, timedelta(hours=6, minutes=16))).look(reference)

    assert is_transient(failed.value)
    assert Attempt(STEP, "0" * 64, 1).result(workspace.lake) is not None


def test_reserved_concurrency_bounds_how_many_run_at_once(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512, concurrency=1)", WAITS, days=3)

    started = [start(workspace, f"dt=2013-01-0{day}") for day in (1, 2, 3)]
    for each in started:
        result(workspace, each)

    function = workspace.aws.client("lambda").get_function_concurrency(FunctionName=f"{elsewhere.name}-doubled")
    assert function["ReservedConcurrentExecutions"] == 1
    assert len(records(workspace)) == 6


def test_runtime_that_changes_while_an_attempt_runs_waits_for_its_end(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)", WAITS)
    start(workspace)
    wait_for(lambda: "1-claim.json" in records(workspace), what="a claim")
    elsewhere.declare("Fargate(vcpu=0.25, memory_gb=0.5)", WAITS)

    with pytest.raises(RunInterrupted, match="runs on Lambda with 512 MB already, until 20"):
        start(elsewhere.workspace())


@pytest.mark.parametrize("declared", ["Lambda(memory_mb=1024)", "Lambda(memory_mb=512, seconds=30)"])
def test_other_size_than_it_was_provisioned_with_is_refused(elsewhere: Elsewhere, declared: str) -> None:
    elsewhere.make("Lambda(memory_mb=512)")
    elsewhere.declare(declared)

    with pytest.raises(SluiceError, match=r"has 512 MB and 900 s, and the declaration .*; run `sluice provision"):
        start(elsewhere.workspace())
