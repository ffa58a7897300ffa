"""The model registry: each winner of a verdict is a version of the pipeline's model package group.

A version has the image, the artefact, the verdict's metrics and where the model comes from. A person may have to
approve it before it goes live.
"""

from __future__ import annotations

from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from sluice.aws.failures import is_absent
from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeploymentFailed, MissingResource
from sluice.evaluation.verdict import Judgement, read_verdict, require_winner, verdict_key
from sluice.lake.manifests import digest_of
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.members import pipeline_tags
from sluice.workspace import Workspace

Status = Literal["Approved", "PendingManualApproval", "Rejected"]


class Version(BaseModel):
    """A version of the pipeline's model: its number in the registry, and the verdict that chose it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    number: int
    arn: str
    job: str
    verdict: int


def group_name(pipeline: Pipeline) -> str:
    """Return the name of the pipeline's model package group; SageMaker allows no underscore in it."""
    return f"sluice-{pipeline.name}".replace("_", "-")


def register(workspace: Workspace, number: int) -> Version:
    """Register the winner of a verdict, unless it is registered.

    Args:
        workspace: The workspace of the pipeline that trained.
        number: The number of the verdict.

    Raises:
        MissingResource: there is no such verdict.
        TrainingFailed: no model may go live.
    """
    lake = workspace.lake
    judgement = require_winner(read_verdict(lake, number))
    known = find_version(workspace, judgement.model.job)
    if known is not None:
        return known
    _make_group(workspace)
    arn = workspace.aws.client("sagemaker").create_model_package(**_request(workspace, number, judgement))[
        "ModelPackageArn"
    ]
    version = Version(number=int(arn.rpartition("/")[2]), arn=arn, job=judgement.model.job, verdict=number)
    lake.create(lake.layout.version(version.job), version.model_dump_json().encode())
    return version


def find_version(workspace: Workspace, job: str) -> Version | None:
    """Return the version of a model.

    Args:
        workspace: The workspace of the pipeline that trained.
        job: The training job that has made the model.

    Returns:
        None if it is not registered.
    """
    return workspace.lake.stored(workspace.lake.layout.version(job), Version).value


def versions(workspace: Workspace) -> list[Version]:
    """Return all versions of the pipeline's model, oldest first."""
    lake = workspace.lake
    found = (lake.stored(key, Version).value for key in lake.documents(lake.layout.versions()))
    return sorted((each for each in found if each is not None), key=lambda each: each.number)


def version_numbered(workspace: Workspace, number: int) -> Version:
    """Return a version by its number in the registry.

    Args:
        workspace: The workspace of the pipeline that trained.
        number: The number.

    Raises:
        MissingResource: there is none.
    """
    found = {each.number: each for each in versions(workspace)}
    if number not in found:
        raise MissingResource(
            f"model package group {group_name(workspace.pipeline)} has no version {number}; it has "
            f"{', '.join(map(str, found)) or 'none'}"
        )
    return found[number]


def approval(workspace: Workspace, version: Version) -> Status:
    """Return whether a version may go live, as the registry says now.

    Args:
        workspace: The workspace of the pipeline that trained.
        version: The version.
    """
    answer = workspace.aws.client("sagemaker").describe_model_package(ModelPackageName=version.arn)
    status: Status = answer["ModelApprovalStatus"]
    return status


def decide(workspace: Workspace, version: Version, status: Status, why: str) -> None:
    """Approve or reject a version.

    Args:
        workspace: The workspace of the pipeline that trained.
        version: The version.
        status: The decision.
        why: Who decided, for the registry; at most 1,024 characters.
    """
    workspace.aws.client("sagemaker").update_model_package(
        ModelPackageArn=version.arn, ModelApprovalStatus=status, ApprovalDescription=why[:1024]
    )


def require_approved(workspace: Workspace, job: str) -> None:
    """Require that a model is approved. One that is not registered may go live only if nobody has to approve it.

    Args:
        workspace: The workspace of the pipeline that trained.
        job: The training job that has made the model.

    Raises:
        DeploymentFailed: it waits for approval, or was rejected, or nobody can have approved it.
    """
    version = find_version(workspace, job)
    if version is None:
        deployment = workspace.pipeline.deployment
        if deployment is None or deployment.approval is None:
            return
        raise DeploymentFailed(
            f"the model of {job} is not in the model registry, so nobody has approved it, and it is not deployed; "
            f"clear the task `verdict` of {workspace.pipeline.name}_train, which registers it"
        )
    status = approval(workspace, version)
    if status != "Approved":
        raise DeploymentFailed(
            f"version {version.number} of {group_name(workspace.pipeline)} (the model of {job}) is {status} in the "
            f"model registry, so it is not deployed; approve it there, or in the task `approve`, and deploy again"
        )


def _make_group(workspace: Workspace) -> None:
    """Create the pipeline's group unless it exists."""
    sagemaker, name = workspace.aws.client("sagemaker"), group_name(workspace.pipeline)
    try:
        sagemaker.describe_model_package_group(ModelPackageGroupName=name)
        return
    except ClientError as error:
        if not is_absent(error):
            raise
    try:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=name,
            ModelPackageGroupDescription=f"The models of the Sluice pipeline {workspace.pipeline.name}.",
            Tags=pipeline_tags(workspace.pipeline),
        )
    except ClientError as error:
        if "already exists" not in str(error):  # another run was faster
            raise


def _request(workspace: Workspace, number: int, judgement: Judgement) -> dict[str, Any]:
    """Return the CreateModelPackage request. Its token makes a repeated request return the same version."""
    pipeline, lake, model = workspace.pipeline, workspace.lake, judgement.model
    content = algorithm_named(model.algorithm)
    snapshot = read_snapshot(lake, model.snapshot)
    metrics = {name: f"{figure.value:.6g}" for name, figure in judgement.metrics.items() if figure.value is not None}
    return {
        "ModelPackageGroupName": group_name(pipeline),
        "ModelPackageDescription": f"The model of training job {model.job}.",
        "InferenceSpecification": {
            "Containers": [{"Image": model.image, "ModelDataUrl": model.artefact}],
            "SupportedContentTypes": [content.content_type],
            "SupportedResponseMIMETypes": [content.accept],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": lake.uri(verdict_key(lake, number))}
            }
        },
        "ModelApprovalStatus": "PendingManualApproval" if pipeline.approval else "Approved",
        "CustomerMetadataProperties": {
            "pipeline": pipeline.name,
            "training-job": model.job,
            "snapshot": model.snapshot,
            "train": snapshot.partitions["train"][:256],
            "verdict": str(number),
            **metrics,
        },
        "ClientToken": digest_of([pipeline.name, model.job])[:36],
    }
