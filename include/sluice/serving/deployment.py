"""Proves a deployment: the requested configuration is live, and it scores as its training job's artefact does."""

from __future__ import annotations

from sluice.evaluation.judge import check_gate, judge
from sluice.serving.endpoint import Change, check_live
from sluice.serving.probe import probe
from sluice.serving.recipe import recipe_of_job
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.jobs import completed_job
from sluice.workspace import Workspace


def prove(workspace: Workspace, change: Change, job_name: str, snapshot: str) -> DeploymentRecord:
    """Read the endpoint back, judge the model, compare its live answers with its artefact's, and record it.

    Raises:
        DeploymentFailed: something else is live, or its scores are those of another model.
        TrainingFailed: the job has no model, or one below the gate.
        MissingResource: the snapshot or the artefact is gone.
    """
    sagemaker, runtime = workspace.aws.client("sagemaker"), workspace.aws.client("sagemaker-runtime")
    check_live(sagemaker, change)
    job = completed_job(sagemaker, job_name)
    validation = check_gate(workspace.lake, job, snapshot, workspace.pipeline.require_training().gate)
    test = judge(workspace.lake, job, snapshot, "test")
    recipe = recipe_of_job(workspace.pipeline, job, workspace.resources.require_role(), sagemaker.meta.region_name)
    record = DeploymentRecord(
        endpoint=change.endpoint,
        config=change.config,
        job=job_name,
        snapshot=snapshot,
        validation_auc=probe(runtime, change.endpoint, validation),
        test_auc=probe(runtime, change.endpoint, test),
        recipe=recipe if recipe.config_name == change.config else None,  # unless the declaration changed meanwhile
    )
    record_deployment(workspace.lake, record)
    return record
