"""An act that waits has a bound for each thing that it waits for, one after another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.draining import workspace_of
from tests.sluice.toy import TOY

from sluice.declaration.training import AROUND_A_JOB
from sluice.errors import DeploymentFailed, TrainingFailed
from sluice.lake.store import Lake
from sluice.orchestration import acts
from sluice.orchestration.acts import ACTS
from sluice.serving.deployment import Step, Wait
from sluice.serving.rollout import longest_change
from sluice.workspace import Workspace

UPDATING, TO_SERVE = "endpoint toy-late, which is Updating", "endpoint toy-late to serve toy-1"
LONGEST = longest_change(TOY)


class Moved:
    """A workspace whose time a test moves, and an endpoint that a step of a deployment finds as a test says."""

    def __init__(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = lake.now()
        self.what = UPDATING
        self.workspace: Workspace = workspace_of(replace(lake, now=lambda: self.now), TOY)
        for driving in ("take", "restore"):
            monkeypatch.setattr(acts, driving, self._step)
        monkeypatch.setattr(acts, "target_of_verdict", lambda *_: None)

    def _step(self, *_: object, **__: object) -> Step:
        return Wait(self.what)


@pytest.fixture
def moved(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Moved:
    return Moved(lake, monkeypatch)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("deploy", r"^the wait for endpoint toy-late, which is Updating took longer than \d:\d\d:\d\d$"),
        (
            "undo",
            r"^no proof; endpoint toy-late may serve an unproven model: check it, then deploy again; the wait for "
            r"endpoint toy-late, which is Updating took longer than",
        ),
    ],
)
def test_endpoint_that_never_settles_ends_the_act(moved: Moved, act: str, message: str) -> None:
    state = ACTS[act](moved.workspace, {"verdict": 1, "reason": "no proof"})
    moved.now += LONGEST
    state = ACTS[act](moved.workspace, state)
    assert state["waiting"] is True
    moved.now += timedelta(seconds=1)

    with pytest.raises(DeploymentFailed, match=message):
        ACTS[act](moved.workspace, state)


def test_each_change_of_an_endpoint_has_its_own_bound(moved: Moved) -> None:
    """A deployment may wait for another's change before it requests its own, and each may take as long as it may."""
    state = ACTS["deploy"](moved.workspace, {"verdict": 1})
    moved.now, moved.what = moved.now + LONGEST, TO_SERVE
    state = ACTS["deploy"](moved.workspace, state)
    moved.now, moved.what = moved.now + LONGEST, UPDATING

    state = ACTS["deploy"](moved.workspace, state)

    assert datetime.fromisoformat(state["since"]) == moved.now


def test_undo_of_a_change_that_took_too_long_has_its_own_bound(moved: Moved) -> None:
    state = ACTS["deploy"](moved.workspace, {"verdict": 1})
    moved.now += LONGEST + timedelta(seconds=1)

    state = ACTS["undo"](moved.workspace, {**state, "reason": "it took too long"})

    assert (state["waiting"], datetime.fromisoformat(state["since"])) == (True, moved.now)


@pytest.mark.parametrize(
    ("act", "jobs", "has_ended"),
    [("look_at_training", "jobs", "_has_trained"), ("look_at_scores", "scorings", "_has_scored")],
)
def test_job_that_never_ends_ends_the_wait(
    moved: Moved, monkeypatch: pytest.MonkeyPatch, act: str, jobs: str, has_ended: str
) -> None:
    monkeypatch.setattr(acts, has_ended, lambda _, name: name == "over")
    longest = TOY.require_training().longest_job + AROUND_A_JOB

    state = ACTS[act](moved.workspace, {jobs: ["over", "stuck"]})
    moved.now += longest
    state = ACTS[act](moved.workspace, state)
    moved.now += timedelta(seconds=1)

    with pytest.raises(TrainingFailed, match=r"^stuck did not end within 1:30:00; look at it in SageMaker, then train"):
        ACTS[act](moved.workspace, state)
