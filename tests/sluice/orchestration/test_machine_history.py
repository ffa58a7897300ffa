"""The longest declared waits fit into the history of an execution, which has at most 25,000 events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.sluice.toy import TOY

from sluice.declaration import Canary, Deployment, Pipeline, StepFunctions
from sluice.declaration.training import AROUND_A_JOB
from sluice.orchestration.machine import definition
from sluice.serving.rollout import longest_change

# Of a look: two to wait, five to call the function, two to choose.
EVENTS, MOST_EVENTS = 9, 25_000
# Of an endpoint, one after another: that of another deployment, and three requests each of the model and of what
# served before.
CHANGES, CHANGES_BACK = 7, 3


def declared(
    max_runtime: timedelta,
    approval: timedelta | None,
    poll: timedelta = timedelta(minutes=1),
    canary: Canary | None = None,
) -> Pipeline:
    assert TOY.training is not None
    training = replace(TOY.training, max_runtime=max_runtime, orchestrator=StepFunctions(poll=poll))
    return replace(
        TOY, training=training, deployment=Deployment("toy-late", approval=approval, canary=canary, instances=2)
    )


def waits(pipeline: Pipeline) -> Mapping[str, int]:
    states = definition(pipeline, "function", "code")["States"]
    return {name: state["Seconds"] for name, state in states.items() if state["Type"] == "Wait"}


@pytest.mark.parametrize("poll", [timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)])
@pytest.mark.parametrize("canary", [None, Canary(bake=timedelta(hours=1))])
def test_longest_waits_end_within_one_execution(poll: timedelta, canary: Canary | None) -> None:
    month = timedelta(days=28)
    pipeline = declared(month, month, poll, canary)
    change = longest_change(pipeline)

    job = month + AROUND_A_JOB
    longest = {"WaitForTraining": job, "WaitForScores": job, "WaitForApproval": month}
    longest |= {"WaitForEndpoint": CHANGES * change, "WaitForUndo": CHANGES_BACK * change}
    events = {name: longest[name].total_seconds() / seconds * EVENTS for name, seconds in waits(pipeline).items()}

    assert events.keys() == longest.keys()
    assert sum(events.values()) < MOST_EVENTS


def test_short_waits_have_the_declared_interval() -> None:
    assert waits(declared(timedelta(hours=1), timedelta(hours=8))) == {
        "WaitForTraining": 60,
        "WaitForScores": 60,
        "WaitForApproval": 60,
        "WaitForEndpoint": 45,
        "WaitForUndo": 45,
    }
