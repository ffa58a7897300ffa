"""What the states of a training's machine do: the same calls, in the same order, as the tasks of Airflow's ``train``.

Each act takes the state of the run and returns it with what it adds. A state has names, digests and counts only. Every
act is safe to repeat: it adopts or reuses what Airflow or another run has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sluice.dataset.snapshot import make_snapshot
from sluice.errors import DeploymentFailed
from sluice.evaluation.report import make_report
from sluice.evaluation.transforms import completed_scoring, find_scoring
from sluice.serving.deployment import Done, Failed, Step, advance, start
from sluice.serving.driver import restore, take
from sluice.serving.judging import announce_winner, launch_scorings, make_verdict
from sluice.serving.promotion import promote
from sluice.serving.quotas import require_quotas
from sluice.serving.registry import approval, register
from sluice.serving.rollout import longest_change
from sluice.serving.targets import target_of_verdict
from sluice.training.kinds import kind_of
from sluice.training.launching import launch_training
from sluice.workspace import Workspace

State = Mapping[str, Any]
Act = Callable[[Workspace, State], State]

# A function has 900 seconds, so it is less patient than a worker.
_PATIENCE_SECONDS = 120.0


def _snapshot(workspace: Workspace, state: State) -> State:
    """Freeze the partitions, and check the account's quotas; ``from`` and ``to`` may limit them."""
    made = make_snapshot(workspace, state.get("from"), state.get("to"))
    require_quotas(workspace)
    return {**state, "snapshot": made.fingerprint}


def _launch(workspace: Workspace, state: State) -> State:
    """Start the jobs of all candidates, adopt or reuse them."""
    candidates = workspace.pipeline.require_training().candidates
    launched = [launch_training(workspace, each, state["snapshot"], state["run"]) for each in candidates]
    return {**state, "jobs": [each.job_name for each in launched]}


def _look_at_training(workspace: Workspace, state: State) -> State:
    """Look at the jobs; fail if one has failed."""
    waiting = [name for name in state["jobs"] if not _has_trained(workspace, name)]
    return {**state, "waiting": bool(waiting)}


def _score(workspace: Workspace, state: State) -> State:
    """Start the jobs that score the test rows with each model and with the live one."""
    return {**state, "scorings": launch_scorings(workspace, state["jobs"], state["snapshot"])}


def _look_at_scores(workspace: Workspace, state: State) -> State:
    """Look at the scoring jobs; fail if one has failed."""
    waiting = [name for name in state["scorings"] if not _has_scored(workspace, name)]
    return {**state, "waiting": bool(waiting)}


def _judge(workspace: Workspace, state: State) -> State:
    """Judge the models, record the verdict, and write the report."""
    number = make_verdict(workspace, state["jobs"], state["snapshot"])
    make_report(workspace, number)
    return {**state, "verdict": number}


def _announce(workspace: Workspace, state: State) -> State:
    """Publish that the training is complete; fail if no model may be live by the verdict."""
    announce_winner(workspace, state["verdict"], state["run"])
    return state


def _approve(workspace: Workspace, state: State) -> State:
    """Look whether a person has approved the winner in the model registry; fail if it was rejected, or in time."""
    version = register(workspace, state["verdict"])
    status, allowed = approval(workspace, version), workspace.pipeline.approval
    if status == "Rejected":
        raise DeploymentFailed(f"version {version.number} was rejected in the model registry; what is live stays")
    waiting, since = status != "Approved", state.get("asked", workspace.lake.now().isoformat())
    if waiting and allowed is not None and workspace.lake.now() - datetime.fromisoformat(since) > allowed:
        raise DeploymentFailed(f"nobody has approved version {version.number} in time; start the machine again to ask")
    return {**state, "waiting": waiting, "asked": since}


def _deploy(workspace: Workspace, state: State) -> State:
    """Take the next step of the deployment: at its end the winner is live and proven, or what served before is."""
    since = _within(workspace, state.get("changing_since"), "the endpoint did not settle")
    target = target_of_verdict(workspace, state["verdict"])
    step = take(advance if state.get("begun") else start, workspace, target, _PATIENCE_SECONDS)
    return _after(step, {**state, "changing_since": since})


def _undo(workspace: Workspace, state: State) -> State:
    """Restore what served before, after a state of the deployment has failed or took too long."""
    endpoint = workspace.pipeline.require_deployment().endpoint
    too_long = f"{state['reason']}; endpoint {endpoint} may serve an unproven model: check it. It did not settle again"
    since = _within(workspace, state.get("undoing_since"), too_long)
    target = target_of_verdict(workspace, state["verdict"])
    step = restore(workspace, target, state["reason"], passes=False, seconds=_PATIENCE_SECONDS)
    if isinstance(step, Failed):
        return {**state, "waiting": False}
    return _after(step, {**state, "undoing_since": since})


def _make_live(workspace: Workspace, state: State) -> State:
    """Make the winner the model that scores in batch, where there is no endpoint."""
    return {**state, "deployment": promote(workspace, state["verdict"])}


def _within(workspace: Workspace, since: str | None, failure: str) -> str:
    """Return since when the endpoint changes, and require that this is not longer than a change may take."""
    now, longest = workspace.lake.now(), longest_change(workspace.pipeline)
    if since is not None and now - datetime.fromisoformat(since) > longest:
        raise DeploymentFailed(f"{failure} within {longest}")
    return since or now.isoformat()


def _after(step: Step, state: State) -> State:
    if isinstance(step, Failed):
        raise DeploymentFailed(step.reason)
    if isinstance(step, Done):
        return {**state, "waiting": False, "deployment": step.number}
    return {**state, "waiting": True, "begun": step.begun}


def _has_trained(workspace: Workspace, name: str) -> bool:
    kind = kind_of(workspace.pipeline, name)
    job = kind.find(workspace, name)
    if job is None or not job.ended:
        return False
    kind.completed(workspace, name)
    return True


def _has_scored(workspace: Workspace, name: str) -> bool:
    job = find_scoring(workspace, name)
    if job is None or not job.ended:
        return False
    completed_scoring(workspace, name)
    return True


# By the name under which the machine asks for them.
ACTS: Mapping[str, Act] = {
    "snapshot": _snapshot,
    "launch": _launch,
    "look_at_training": _look_at_training,
    "score": _score,
    "look_at_scores": _look_at_scores,
    "judge": _judge,
    "announce": _announce,
    "approve": _approve,
    "deploy": _deploy,
    "undo": _undo,
    "make_live": _make_live,
}
