"""The champion: the model that is live. At an endpoint it was proven; without one it scores in batch."""

from __future__ import annotations

from sluice.dataset.snapshot import read_snapshot
from sluice.errors import MissingResource
from sluice.serving.endpoint import find_endpoint
from sluice.serving.records import DeploymentRecord, last_proven, newest_deployments
from sluice.training.models import Model, has_artefact
from sluice.workspace import Workspace


def newest_record(workspace: Workspace) -> DeploymentRecord | None:
    """Return the record of what was made live last, at the declared endpoint or without one; None if nothing was.

    Args:
        workspace: The workspace of the pipeline.
    """
    deployment = workspace.pipeline.deployment
    return last_proven(workspace.lake, deployment.endpoint if deployment else None)


def live_model(workspace: Workspace) -> Model | None:
    """Return the model that is live: what the endpoint serves and was proven, or what was made live without one.

    Args:
        workspace: The workspace of the pipeline.

    Returns:
        None if nothing is live, or if the endpoint serves what was not proven.
    """
    record, deployment = newest_record(workspace), workspace.pipeline.deployment
    if record is None or deployment is None:
        return record.model if record else None
    live = find_endpoint(workspace, deployment.endpoint)
    return record.model if live is not None and live.config == record.config else None


def require_live(workspace: Workspace) -> Model:
    """Return the model that is live, and require its artefact.

    Args:
        workspace: The workspace of the pipeline.

    Raises:
        MissingResource: nothing is live, or the artefact is gone.
    """
    model, pipeline = live_model(workspace), workspace.pipeline
    if model is None and newest_record(workspace) is not None:
        raise MissingResource(
            f"endpoint {pipeline.require_deployment().endpoint} does not serve the model that was proven last; run "
            f"`sluice deploy {pipeline.name}`, then clear this task"
        )
    if model is None:
        raise MissingResource(f"no model of {pipeline.name} is live; run {pipeline.name}_train first")
    if not has_artefact(workspace, model.artefact):
        raise MissingResource(
            f"the model of {model.job}, which is live, is gone: {model.artefact} was removed; train again"
        )
    return model


def model_of_job(workspace: Workspace, job: str) -> Model:
    """Return a model that is or was live.

    Args:
        workspace: The workspace of the pipeline.
        job: The training job that has made the model.

    Raises:
        MissingResource: no such model was ever live.
    """
    for _, record in newest_deployments(workspace.lake):
        if record.model.job == job:
            return record.model
    raise MissingResource(f"the model of {job} was never live; clear the first task of this run")


def find_champion(workspace: Workspace, fingerprint: str) -> Model | None:
    """Return the model that is live, if it can be judged beside others.

    Args:
        workspace: The workspace of the pipeline.
        fingerprint: The fingerprint of the snapshot whose rows judge.

    Returns:
        None if no model is live, if the model's artefact or its own snapshot is gone, or if the rows have another label
        or other classes, or lack a feature that the model takes.
    """
    model = live_model(workspace)
    if model is None or not has_artefact(workspace, model.artefact):
        return None
    return model if _takes_rows_of(workspace, model, fingerprint) else None


def _takes_rows_of(workspace: Workspace, model: Model, fingerprint: str) -> bool:
    rows = read_snapshot(workspace.lake, fingerprint)
    try:
        own = read_snapshot(workspace.lake, model.snapshot)
    except MissingResource:
        return False
    if own.label != rows.label or own.scores not in (None, rows.scores):
        return False
    return set(own.encoding.features) <= set(rows.encoding.features)
