"""What can be made live: the winner of a verdict, or what an earlier deployment had made live."""

from __future__ import annotations

from sluice.errors import MissingResource
from sluice.evaluation.verdict import newest_number, read_verdict, require_winner
from sluice.serving.plan import Target, read_plan
from sluice.serving.recipe import recipe_of_model
from sluice.serving.records import DeploymentRecord, deployment_record, deployment_records
from sluice.serving.registry import require_approved, version_numbered
from sluice.training.models import Model, has_artefact
from sluice.workspace import Workspace


def target_of_verdict(workspace: Workspace, number: int) -> Target:
    """Return the winner of a verdict, as the pipeline declares its deployment now. It must be approved.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        number: The number of the verdict.

    Raises:
        MissingResource: there is no such verdict, or its winner was removed.
        TrainingFailed: no model may go live.
        DeploymentFailed: the winner waits for approval in the model registry, or was rejected. A deployment of it that
            has begun goes on, because it may have left an unproven model live.
    """
    model = require_winner(read_verdict(workspace.lake, number)).model
    plan = read_plan(workspace.lake, workspace.pipeline.require_deployment().endpoint)
    if plan is None or not plan.running or (plan.target.model, plan.target.verdict) != (model, number):
        require_approved(workspace, model.job)
        _require_artefact(workspace, model, f"the winner of verdict {number}")
    return Target(model=model, recipe=recipe_of_model(workspace, model), verdict=number)


def target_of_record(workspace: Workspace, number: int) -> Target:
    """Return what an earlier deployment had made live.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        number: The number of the deployment.

    Raises:
        MissingResource: there is no such deployment, or its model was removed.
    """
    record = restorable_record(workspace, number)
    recipe = record.recipe or recipe_of_model(workspace, record.model)
    return Target(model=record.model, recipe=recipe, verdict=record.verdict)


def restorable_record(workspace: Workspace, number: int) -> DeploymentRecord:
    """Return the record of an earlier deployment whose model still exists.

    Args:
        workspace: The workspace of the pipeline.
        number: The number of the deployment.

    Raises:
        MissingResource: there is no such deployment, or its model was removed.
    """
    record = deployment_record(workspace.lake, number)
    _require_artefact(workspace, record.model, f"the model of deployment {number}")
    return record


def _require_artefact(workspace: Workspace, model: Model, what: str) -> None:
    if not has_artefact(workspace, model.artefact):
        raise MissingResource(
            f"{what} is gone: {model.artefact} was removed; roll back to a newer deployment, or train again"
        )


def deployment_to_restore(workspace: Workspace, number: int | None = None) -> int:
    """Return the number of the deployment that a roll-back goes to.

    Args:
        workspace: The workspace of the pipeline.
        number: What the user chose; None: the last deployment with another configuration than the newest one, or
            without an endpoint the last one with another model.

    Raises:
        MissingResource: there is no such deployment, or it is of another endpoint.
    """
    deployment = workspace.pipeline.deployment
    endpoint = deployment.endpoint if deployment else None
    if number is not None:
        other = deployment_record(workspace.lake, number).endpoint
        if other and endpoint and other != endpoint:  # a model that was live without one may get one, and the reverse
            raise MissingResource(
                f"deployment {number} is of endpoint {other}, and {workspace.pipeline.name} declares {endpoint}; "
                f"choose one of its own, or make its model live by `sluice deploy --version`"
            )
        return number
    records = deployment_records(workspace.lake).items()
    own = [(each, record.config) for each, record in records if record.endpoint == endpoint]
    earlier = [each for each, config in own if config != own[-1][1]]
    if not earlier:
        what = f"endpoint {endpoint}" if endpoint else f"pipeline {workspace.pipeline.name}"
        kind = "configuration" if endpoint else "model"
        raise MissingResource(f"{what} has had {f'one {kind} only' if own else 'no deployment'}: nothing to go back to")
    return earlier[-1]


def verdict_to_deploy(workspace: Workspace, version: int | None = None) -> int:
    """Return the number of the verdict whose winner is deployed.

    Args:
        workspace: The workspace of the pipeline that trained.
        version: The version in the model registry that the user chose; None: the winner of the newest verdict.

    Raises:
        MissingResource: there is no such version, or no verdict yet.
    """
    if version is not None:
        return version_numbered(workspace, version).verdict
    newest = newest_number(workspace.lake)
    if newest is None:
        raise MissingResource(
            f"no model of {workspace.pipeline.name} was judged yet; run {workspace.pipeline.name}_train"
        )
    return newest
