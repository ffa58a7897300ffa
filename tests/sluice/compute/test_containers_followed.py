"""A task is followed also while ECS does not show it yet, and when another one has claimed its attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import DAY, STEP, made, records, result, runtime

from localcloud.testing.waiting import wait_for
from sluice.compute.attempts import Attempt, Claim, find_work
from sluice.compute.contract import Started
from sluice.compute.requests import Size
from sluice.errors import RunInterrupted
from sluice.workspace import Workspace

FARGATE = "Fargate(vcpu=0.25, memory_gb=0.5)"
SLOW = """
import time

def doubled(conform):
    time.sleep(8)
    return conform
"""


def at(workspace: Workspace, later: timedelta) -> Workspace:
    now = workspace.lake.now() + later
    return replace(workspace, lake=replace(workspace.lake, now=lambda: now))


def of(elsewhere: Elsewhere, number: int) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/{elsewhere.name}/{number:032d}"


def test_new_task_that_ecs_does_not_show_yet_is_not_lost(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(FARGATE)
    reference = {
        "task": of(elsewhere, 1),
        "work": "0" * 64,
        "attempt": 1,
        "since": workspace.lake.now().isoformat(),
    }

    assert runtime(workspace).look(reference) is None
    assert records(workspace) == []
    with pytest.raises(RunInterrupted, match="ended without a result: ECS knows it no more"):
        runtime(at(workspace, timedelta(minutes=6))).look(reference)


@pytest.mark.slow
def test_second_task_for_an_attempt_waits_for_the_first(elsewhere: Elsewhere) -> None:
    """Two runs may ask for the same work in other words, such as by other ranges, before ECS lists the first task."""
    workspace = elsewhere.make(FARGATE, SLOW)
    there: Any = runtime(workspace)
    request = there.request(find_work(workspace, STEP, DAY), "declared")
    first = there.send(request)
    wait_for(lambda: "1-claim.json" in records(workspace), what="a claim")

    second = there._run(request.model_copy(update={"reason": "in other words"}), "another")

    assert second != first["task"]
    described = there._ecs.describe_tasks
    wait_for(
        lambda: described(cluster=elsewhere.name, tasks=[second])["tasks"][0]["lastStatus"] == "STOPPED",
        what="the end of the second task",
    )
    ran = result(workspace, Started("the second", {"task": second, "work": request.work, "attempt": 1}))
    assert ran["changed"] == 1
    assert records(workspace) == ["1-claim.json", "1-result.json"]
    assert made(workspace).revision == 1


def test_attempt_that_another_claimed_and_lost_ends_with_its_time(elsewhere: Elsewhere) -> None:
    workspace, attempt = elsewhere.make(FARGATE), Attempt(STEP, "0" * 64, 1)
    until = workspace.lake.now() + timedelta(minutes=10)
    size = Size(kind="Lambda", memory_mb=512)
    attempt.claim(workspace.lake, Claim(by="a-function", size=size, until=until, log="group:stream"))
    reference = {"task": of(elsewhere, 2), "work": attempt.work, "attempt": 1}

    assert runtime(workspace).look(reference) is None
    with pytest.raises(RunInterrupted):
        runtime(at(workspace, timedelta(minutes=11))).look(reference)
