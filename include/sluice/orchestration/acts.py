"""What the states of a training's machine do: the same calls, in the same order, as the tasks of Airflow's ``train``.

Each act takes the state of the run and returns it with what it adds. A state has names, digests and counts only. Every
act is safe to repeat: it adopts or reuses what Airflow or another run has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sluice.dataset.snapshot import make_snapshot
from sluice.declaration.training import AROUND_A_JOB
from sluice.errors import DeploymentFailed, SluiceError, TrainingFailed
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
    return _waiting_for_jobs(workspace, state, "training jobs", waiting)


def _score(workspace: Workspace, state: State) -> State:
    """Start the jobs that score the test rows with each model and with the live one."""
    return {**state, "scorings": launch_scorings(workspace, state["jobs"], state["snapshot"])}


def _look_at_scores(workspace: Workspace, state: State) -> State:
    """Look at the scoring jobs; fail if one has failed."""
    waiting = [name for name in state["scorings"] if not _has_scored(workspace, name)]
    return _waiting_for_jobs(workspace, state, "scoring jobs", waiting)


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
    if status == "Approved" or allowed is None:
        return {**state, "waiting": status != "Approved"}
    late = DeploymentFailed(f"nobody has approved version {version.number} in time; start the machine again to ask")
    return _waiting(workspace, state, f"approval of version {version.number}", allowed, late)


def _deploy(workspace: Workspace, state: State) -> State:
    """Take the next step of the deployment: at its end the winner is live and proven, or what served before is."""
    target = target_of_verdict(workspace, state["verdict"])
    step = take(advance if state.get("begun") else start, workspace, target, _PATIENCE_SECONDS)
    return _after(workspace, state, "deploy", step, "")


def _undo(workspace: Workspace, state: State) -> State:
    """Restore what served before, after the deployment has failed or took too long; fail, and say what is live."""
    endpoint = workspace.pipeline.require_deployment().endpoint
    target = target_of_verdict(workspace, state["verdict"])
    step = restore(workspace, target, state["reason"], passes=False, seconds=_PATIENCE_SECONDS)
    unproven = f"{state['reason']}; endpoint {endpoint} may serve an unproven model: check it, then deploy again; "
    return _after(workspace, state, "undo", step, unproven)


def _make_live(workspace: Workspace, state: State) -> State:
    """Make the winner the model that scores in batch, where there is no endpoint."""
    return {**state, "deployment": promote(workspace, state["verdict"])}


def _waiting_for_jobs(workspace: Workspace, state: State, what: str, waiting: Sequence[str]) -> State:
    if not waiting:
        return {**state, "waiting": False}
    longest = workspace.pipeline.require_training().longest_job + AROUND_A_JOB
    late = TrainingFailed(
        f"{', '.join(waiting)} did not end within {longest}; look at it in SageMaker, then train again"
    )
    return _waiting(workspace, state, what, longest, late)


def _after(workspace: Workspace, state: State, act: str, step: Step, before: str) -> State:
    """Return the state after a step of a deployment. It may wait for several changes, and each has its own bound."""
    if isinstance(step, Failed):
        raise DeploymentFailed(step.reason)
    if isinstance(step, Done):
        return {**state, "waiting": False, "deployment": step.number}
    longest = longest_change(workspace.pipeline)
    late = DeploymentFailed(f"{before}the wait for {step.what} took longer than {longest}")
    return {**_waiting(workspace, state, f"{act}: {step.what}", longest, late), "begun": step.begun}


def _waiting(workspace: Workspace, state: State, what: str, longest: timedelta, late: SluiceError) -> State:
    """Return the state of a run that waits for something; raise ``late`` if it has waited for it too long."""
    now = workspace.lake.now()
    since = state["since"] if state.get("waiting_for") == what else now.isoformat()
    if now - datetime.fromisoformat(since) > longest:
        raise late
    return {**state, "waiting": True, "waiting_for": what, "since": since}


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


FIRST = "snapshot"
# Those that start jobs, which cost money.
PAID = ("launch", "score")
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
