"""The deployment as a state machine: each step looks at the endpoint, does one thing, and says what comes next.

The plan is in the lake, so any program may take the next step: a task, its retry, or the command line. A deployment
ends with the requested model live and proven, or with what served before live again (P8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain, is_transient
from sluice.errors import DeploymentFailed
from sluice.lake.store import Lake
from sluice.serving.endpoint import Endpoint, delete, find_endpoint, serve
from sluice.serving.plan import Phase, Plan, Target, begin_plan, read_plan, taken_over, update_plan
from sluice.serving.proof import prove_live, record_of
from sluice.serving.recipe import Recipe, deleted_part, make, recipe_of_config
from sluice.serving.records import DeploymentRecord, last_proven, newest_deployments, record_deployment
from sluice.serving.rollout import deployment_config
from sluice.serving.scaling import apply_scaling, scales_as_declared, suspend_scaling
from sluice.workspace import Workspace

_MOST_REQUESTS = 3  # of one change that has no effect


@dataclass(frozen=True)
class Wait:
    """The endpoint is changing: take the next step once it has settled.

    ``what`` completes the sentence "waiting for …". ``begun`` is whether this deployment has a plan yet.
    """

    what: str
    begun: bool = True


@dataclass(frozen=True)
class Done:
    """The requested model is live and proven. ``record`` has the number ``number``."""

    number: int
    record: DeploymentRecord


@dataclass(frozen=True)
class Failed:
    """The requested model is not live. ``reason`` says why, and what serves. ``passes``: a later try may succeed."""

    reason: str
    passes: bool


Step = Wait | Done | Failed


def start(workspace: Workspace, target: Target) -> Step:
    """Begin a deployment, or go on with one of the same target that has not ended.

    If the target is live and proven already, nothing is requested: it is only proven again.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        target: What should be live.

    Raises:
        ConflictingWrite: other deployments begin all the time.
    """
    lake, name = workspace.lake, workspace.pipeline.require_deployment().endpoint
    plan, live = read_plan(lake, name), find_endpoint(workspace, name)
    if plan is not None and plan.running and plan.target == target:
        return advance(workspace, target)
    if live is not None and not live.settled:
        return Wait(f"endpoint {name}, which is {live.status}", begun=False)
    if live is not None and live.status != "InService":
        return Failed(f"endpoint {name} is {live} and can't be updated; delete it, then deploy again", passes=False)
    proven = last_proven(lake, name)
    if live is not None and proven is not None and live.serves(target.config) and proven.config == target.config:
        return _confirm(workspace, target, live)
    make(workspace, target.recipe)
    begin_plan(lake, _plan(workspace, target, live, proven))
    return advance(workspace, target)


def _plan(workspace: Workspace, target: Target, live: Endpoint | None, proven: DeploymentRecord | None) -> Plan:
    """Return the plan, with the configuration to restore: the last proven one, else what served before Sluice.

    What is live now may be an unproven change of an earlier try.
    """
    lake, name = workspace.lake, workspace.pipeline.require_deployment().endpoint
    if live is None:
        return Plan(endpoint=name, target=target)
    if proven is not None:
        return Plan(endpoint=name, target=target, former=proven.config)
    earlier = read_plan(lake, name)
    if earlier is not None and earlier.target.config == live.config:
        return Plan(endpoint=name, target=target, former=earlier.former, former_recipe=earlier.former_recipe)
    recipe = recipe_of_config(workspace, live.config)
    return Plan(endpoint=name, target=target, former=live.config, former_recipe=recipe)


def advance(workspace: Workspace, target: Target) -> Step:
    """Take the next step of a deployment that has begun.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        target: What should be live.

    Raises:
        ClientError: a call failed transiently; take the step again.
    """
    lake, name = workspace.lake, workspace.pipeline.require_deployment().endpoint
    live = find_endpoint(workspace, name)
    if live is not None and not live.settled:
        return Wait(f"endpoint {name}, which is {live.status}")
    plan = read_plan(lake, name)
    if plan is None or plan.target != target:
        return Failed(str(taken_over(name, plan)), passes=True)
    try:
        return _NEXT[plan.phase](workspace, plan, live)
    except DeploymentFailed as error:  # another deployment began in between
        return Failed(str(error), passes=True)


def give_up(workspace: Workspace, target: Target, reason: str, *, passes: bool) -> Step:
    """Restore what served before.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        target: What should have been live.
        reason: Why the deployment is given up.
        passes: Whether the same deployment may succeed later.
    """
    name = workspace.pipeline.require_deployment().endpoint
    plan = read_plan(workspace.lake, name)
    if plan is None or plan.target != target or plan.phase == "ended":
        return Failed(reason, passes)
    if plan.phase != "restoring":
        _record(workspace, plan, "restoring", requests=0, reason=reason, passes=passes)
    return advance(workspace, target)


def _confirm(workspace: Workspace, target: Target, live: Endpoint) -> Step:
    """Prove again what is live and was proven before. There is nothing to restore, and only its scaling may change."""
    lake, deployment = workspace.lake, workspace.pipeline.require_deployment()
    records = newest_deployments(lake)
    number, record = next((n, each) for n, each in records if each.endpoint == deployment.endpoint)
    try:
        make(workspace, target.recipe)  # what serves goes on without its configuration, but can't be changed
        prove_live(workspace, target, live)
        apply_scaling(workspace, target.recipe, scaled=record.scales)
    except Exception as error:
        if is_transient(error):
            raise
        return Failed(f"{explain(error)} ({target.config} was proven before, and stays live)", passes=False)
    scales = scales_as_declared(deployment, target.recipe)
    if record.scales == scales:
        return Done(number, record)
    changed = record.model_copy(update={"scales": scales})
    return Done(record_deployment(lake, changed), changed)


def _request(workspace: Workspace, plan: Plan, live: Endpoint | None) -> Step:
    """Request the target, unless it is live already. A request whose response was lost is repeated."""
    if live is not None and live.serves(plan.target.config):
        return _prove(workspace, _record(workspace, plan, "proving"), live)
    if plan.requests == _MOST_REQUESTS or (live is not None and live.status != "InService"):
        reason = f"endpoint {plan.endpoint} does not serve {plan.target.config}: it is {live or 'gone'}"
        return _restore(workspace, _record(workspace, plan, "restoring", requests=0, reason=reason, passes=True), live)
    plan = _record(workspace, plan, "requesting", requests=plan.requests + 1)
    try:
        recipe = plan.target.recipe
        kept = _kept_instances(workspace, live, recipe)
        update = {**deployment_config(workspace.pipeline, recipe.instances), **kept}
        serve(workspace, plan.endpoint, plan.target.config, exists=live is not None, update=update)
    except (BotoCoreError, ClientError) as error:
        if is_transient(error):  # SageMaker may have accepted it
            return Wait(f"endpoint {plan.endpoint}, after: {explain(error)}")
        reason = explain(error)
        return _restore(workspace, _record(workspace, plan, "restoring", requests=0, reason=reason), live)
    _record(workspace, plan, "proving")
    return Wait(f"endpoint {plan.endpoint} to serve {plan.target.config}")


def _prove(workspace: Workspace, plan: Plan, live: Endpoint | None) -> Step:
    """Read back what is live and compare its answers; record the deployment, or restore what served before."""
    try:
        prove_live(workspace, plan.target, live)
        record = record_of(workspace, plan.target)
        apply_scaling(workspace, plan.target.recipe, scaled=_scaled(workspace))
    except Exception as error:
        if is_transient(error):
            raise
        reason = explain(error)
        return _restore(workspace, _record(workspace, plan, "restoring", requests=0, reason=reason), live)
    number = record_deployment(workspace.lake, record)
    _record(workspace, plan, "ended")
    return Done(number, record)


def _restore(workspace: Workspace, plan: Plan, live: Endpoint | None) -> Step:
    """Request what served before until it is live again. If nothing served, delete the endpoint."""
    if live is None if plan.former is None else live is not None and live.serves(plan.former):
        outcome = f"{_outcome(plan)}{_loss(workspace, plan)}{_scaling_again(workspace, plan)}"
        _record(workspace, plan, "ended")
        return Failed(f"{plan.reason} ({outcome})", plan.passes)
    if plan.requests == _MOST_REQUESTS:
        _record(workspace, plan, "ended")
        return Failed(_unproven(plan, f"had no effect after {_MOST_REQUESTS} requests"), passes=True)
    plan = _record(workspace, plan, "restoring", requests=plan.requests + 1)
    try:
        _request_former(workspace, plan, live)
    except (BotoCoreError, ClientError) as error:
        if is_transient(error):
            raise
        _record(workspace, plan, "ended")
        return Failed(_unproven(plan, f"failed: {explain(error)}"), passes=True)
    return Wait(f"endpoint {plan.endpoint} to serve {plan.former or 'nothing'} again")


def _request_former(workspace: Workspace, plan: Plan, live: Endpoint | None) -> None:
    """Request what served before. Create its configuration and models again if they were deleted."""
    if plan.former is None or (live is not None and live.delete_only):
        delete(workspace, plan.endpoint)
        return
    recipe = _recipe_of(workspace.lake, plan.former) or plan.former_recipe
    if recipe is not None:
        make(workspace, recipe)
    serve(
        workspace, plan.endpoint, plan.former, exists=live is not None, update=_kept_instances(workspace, live, recipe)
    )


def _scaled(workspace: Workspace) -> bool:
    """Return whether the last proven deployment has made the endpoint scale."""
    proven = last_proven(workspace.lake, workspace.pipeline.require_deployment().endpoint)
    return proven is not None and proven.scales


def _kept_instances(workspace: Workspace, live: Endpoint | None, recipe: Recipe | None) -> Mapping[str, Any]:
    """Return the members of an update that keep the instances of an endpoint that scales, and end its scaling."""
    declared, scaled = workspace.pipeline.require_deployment().autoscaling is not None, _scaled(workspace)
    if scaled or (declared and live is not None):  # a deployment that failed has left no record of its scaling
        suspend_scaling(workspace)
    keeps = declared and scaled and (recipe is None or recipe.instances)
    return {"RetainAllVariantProperties": True} if keeps else {}


def _scaling_again(workspace: Workspace, plan: Plan) -> str:
    """Make what serves again scale, if it did; return what to say of a failure."""
    proven = last_proven(workspace.lake, plan.endpoint)
    if plan.former is None or proven is None or proven.recipe is None or not proven.scales:
        return ""
    try:
        apply_scaling(workspace, proven.recipe, scaled=True)
    except (BotoCoreError, ClientError, DeploymentFailed) as error:
        if is_transient(error):
            raise
        return f", and its instances do not follow the requests: {explain(error)}"
    return ""


def _loss(workspace: Workspace, plan: Plan) -> str:
    """Return what to say if the configuration of what serves again was deleted; empty if it was not.

    What serves answers without it, but SageMaker may refuse to change the endpoint.
    """
    deleted = deleted_part(workspace, plan.former) if plan.former else ""
    if not deleted:
        return ""
    number = next((n for n, each in newest_deployments(workspace.lake) if each.config == plan.former), None)
    again = f"run `sluice rollback {workspace.pipeline.name} --to {number}`, which creates it again"
    return f", but {deleted} is gone: {again if number else 'create it again as it was'}, then deploy again"


def _recipe_of(lake: Lake, config: str) -> Recipe | None:
    return next((record.recipe for _, record in newest_deployments(lake) if record.config == config), None)


def _outcome(plan: Plan) -> str:
    """Return what is live after a roll-back."""
    if plan.former == plan.target.config:
        return f"{plan.target.config} was proven before, and stays live"
    return f"rolled back: {plan.former or 'no endpoint'} is live"


def _unproven(plan: Plan, what: str) -> str:
    return (
        f"{plan.reason}; the roll-back to {plan.former or 'no endpoint'} {what}, so endpoint {plan.endpoint} may serve "
        f"an unproven model: check it, then deploy again"
    )


def _record(workspace: Workspace, plan: Plan, phase: Phase, **changes: Any) -> Plan:
    return update_plan(workspace.lake, plan.model_copy(update={"phase": phase, **changes}))


def _end(workspace: Workspace, plan: Plan, live: Endpoint | None) -> Step:
    return Failed(f"the deployment of {plan.target.model.job} has ended; deploy again", passes=True)


_NEXT: Mapping[Phase, Callable[[Workspace, Plan, Endpoint | None], Step]] = {
    "requesting": _request,
    "proving": _prove,
    "restoring": _restore,
    "ended": _end,
}
