"""A trained model: what has to be known to serve it, to read its answers, and to say where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from sluice.aws.failures import is_absent
from sluice.declaration.candidates import Candidate
from sluice.training.jobs import Job
from sluice.training.kinds import kind_of
from sluice.training.members import network_members, pipeline_tags
from sluice.training.names import candidate_of
from sluice.workspace import Workspace


class Model(BaseModel):
    """The model of one training job.

    ``job`` is also the name of the SageMaker model. ``algorithm`` reads the answers. ``snapshot`` is the fingerprint of
    the rows that it was trained on; its encoding makes the columns that the model takes. ``takes_missing`` is whether
    these columns may have missing values. ``trained`` is the end of the training (UTC), and ``seconds`` are those that
    AWS bills, of all training jobs if the model is the best one of a tuning job.
    """

    model_config = ConfigDict(frozen=True)

    candidate: str
    job: str
    image: str
    artefact: str
    algorithm: str
    snapshot: str
    takes_missing: bool
    instance_type: str
    trained: datetime
    seconds: int


def model_of(candidate: Candidate, job: Job, fingerprint: str) -> Model:
    """Return the model that a job has made.

    Args:
        candidate: What was trained.
        job: A completed job of that candidate.
        fingerprint: The fingerprint of the snapshot that the job was trained on.
    """
    return Model(
        candidate=candidate.name,
        job=job.name,
        image=job.image,
        artefact=job.model_uri,
        algorithm=candidate.algorithm,
        snapshot=fingerprint,
        takes_missing=candidate.takes_missing,
        instance_type=job.instance_type,
        trained=job.ended_at or job.created,
        seconds=job.billable_seconds,
    )


def trained_models(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> list[Model]:
    """Return the models of jobs, one for each: of a tuning job, that of its best training job.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_names: The names of training jobs and tuning jobs, as they were launched.
        fingerprint: The fingerprint of the snapshot that they were trained on.

    Raises:
        TrainingFailed: a job has not completed; the message has SageMaker's reason.
        DeclarationError: a job is that of no declared candidate.
    """
    pipeline = workspace.pipeline
    return [
        model_of(candidate_of(pipeline, name), kind_of(pipeline, name).completed(workspace, name), fingerprint)
        for name in job_names
    ]


def has_artefact(workspace: Workspace, uri: str) -> bool:
    """Return whether the artefact of a model exists; a housekeeping may have removed it.

    Args:
        workspace: The workspace of the pipeline that trained.
        uri: The ``s3://`` URI of the artefact; empty if it is not known any more.
    """
    if not uri:
        return False
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        workspace.aws.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    return True


def model_request(workspace: Workspace, model: Model) -> dict[str, Any]:
    """Return the CreateModel request.

    Args:
        workspace: The workspace of the pipeline that trained.
        model: The model; SageMaker's model gets the name of its job.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
    """
    return {
        "ModelName": model.job,
        "PrimaryContainer": {"Image": model.image, "ModelDataUrl": model.artefact},
        "ExecutionRoleArn": workspace.resources.require_role(),
        **network_members(workspace.pipeline),
        "Tags": pipeline_tags(workspace.pipeline),
    }


def make_model(workspace: Workspace, request: Mapping[str, Any]) -> None:
    """Create a model unless it exists. Its name stands for its content, so what exists is the same.

    Args:
        workspace: The workspace of the pipeline that trained.
        request: A CreateModel request.
    """
    sagemaker = workspace.aws.client("sagemaker")
    try:
        sagemaker.describe_model(ModelName=request["ModelName"])
    except ClientError as error:
        if not is_absent(error):
            raise
        create_unless_existing(sagemaker.create_model, request)


def create_unless_existing(create: Any, request: Mapping[str, Any]) -> None:
    """Make a request that creates a model or a configuration, unless another caller has made it a moment before.

    Args:
        create: The method of the client.
        request: Its arguments.
    """
    try:
        create(**request)
    except ClientError as error:
        if "already existing" not in str(error):
            raise
