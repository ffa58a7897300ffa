"""Proves a deployment: the requested configuration is live, and its scores are those of the job's artefact."""

from __future__ import annotations

from sluice.evaluation.judge import check_gate, judge
from sluice.serving.endpoint import Change, check_live
from sluice.serving.probe import probe
from sluice.serving.recipe import recipe_of_job
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.jobs import completed_job
from sluice.workspace import Workspace


def prove(workspace: Workspace, change: Change, job_name: str, snapshot: str) -> DeploymentRecord:
    """Read back what is live, judge the model, compare its live scores with its artefact's, and record the deployment.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        change: The change that was requested; the endpoint has settled since.
        job_name: The training job whose model must be live.
        snapshot: The fingerprint of the snapshot that the job was trained on.

    Raises:
        DeploymentFailed: another configuration is live, or its scores are those of another model.
        TrainingFailed: the job has no model, or one below the gate.
        MissingResource: the snapshot or the artefact does not exist.
    """
    check_live(workspace, change)
    job = completed_job(workspace, job_name)
    validation = check_gate(workspace, job, snapshot)
    test = judge(workspace, job, snapshot, "test")
    recipe = recipe_of_job(workspace, job)
    record = DeploymentRecord(
        endpoint=change.endpoint,
        config=change.config,
        job=job_name,
        snapshot=snapshot,
        validation_auc=probe(workspace, change.endpoint, validation),
        test_auc=probe(workspace, change.endpoint, test),
        recipe=recipe if recipe.config_name == change.config else None,  # not if the declaration has changed since
    )
    record_deployment(workspace.lake, record)
    return record
