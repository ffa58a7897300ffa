"""Proves a deployment: what is live is what was asked for, and answers as it was trained."""

from __future__ import annotations

from sluice.serving.endpoint import Change, check_live
from sluice.serving.probe import probe
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.jobs import check_gate, completed_job
from sluice.workspace import Workspace


def prove(workspace: Workspace, change: Change, job_name: str, snapshot: str) -> DeploymentRecord:
    """Read the endpoint back, probe it, and record the deployment.

    Raises:
        DeploymentFailed: something else is live, or it answers as another model would.
    """
    sagemaker = workspace.aws.client("sagemaker")
    check_live(sagemaker, change)
    trained = check_gate(completed_job(sagemaker, job_name), workspace.pipeline.training.gate)
    runtime = workspace.aws.client("sagemaker-runtime")
    probed = probe(workspace.lake, runtime, change.endpoint, snapshot, trained)
    record = DeploymentRecord(
        endpoint=change.endpoint,
        config=change.config,
        job=job_name,
        snapshot=snapshot,
        validation_auc=probed.validation_auc,
        test_auc=probed.test_auc,
    )
    record_deployment(workspace.lake, record)
    return record
