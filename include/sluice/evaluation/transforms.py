"""The transform jobs that score rows: requested, launched, found, required to be complete, and stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import TrainingFailed
from sluice.lake.manifests import digest_of
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.attempts import Launch, attempts, launch
from sluice.training.members import pipeline_tags
from sluice.training.models import Model, make_model, model_request
from sluice.training.stopping import WHO_STOPS, stop
from sluice.workspace import Workspace

_PAYLOAD_MB = 6  # the most that an endpoint takes as well


@dataclass(frozen=True)
class TransformJob:
    """A transform job as SageMaker describes it.

    ``billable_seconds`` are those from the start on the instance to the end, for which AWS bills; 0 before the end.
    """

    name: str
    status: str
    failure_reason: str
    instance_type: str
    billable_seconds: float

    @property
    def completed(self) -> bool:
        """Whether all rows have their answers."""
        return self.status == "Completed"

    @property
    def ended(self) -> bool:
        """Whether the job has completed, failed or been stopped."""
        return self.status in {"Completed", "Failed", "Stopped"}


def scoring_stem(pipeline: str) -> str:
    """Return the beginning of the names of a pipeline's transform jobs."""
    return f"{pipeline}-scores-".replace("_", "-")


def transform_request(
    workspace: Workspace, model: Model, rows: str, answers: Callable[[str], str], instance_type: str
) -> dict[str, Any]:
    """Return the CreateTransformJob request. Its name ends in a digest of all that decides the answers.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model.
        rows: The folder of the rows, as the model takes them. Its name stands for their content.
        answers: Returns the folder of the answers for the name of the job.
        instance_type: The SageMaker instance type of the job.
    """
    pipeline, lake = workspace.pipeline, workspace.lake
    algorithm = algorithm_named(model.algorithm)
    request: dict[str, Any] = {
        "ModelName": model.job,
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": _PAYLOAD_MB,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": lake.uri(rows)}},
            "ContentType": algorithm.content_type,
            "SplitType": "Line",
        },
        "TransformResources": {
            "InstanceType": instance_type,
            "InstanceCount": 1,
            **({"VolumeKmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        },
    }
    name = f"{scoring_stem(pipeline.name)}{digest_of([request, model.artefact])[:16]}"
    output = {
        "S3OutputPath": lake.uri(answers(name)),
        "Accept": algorithm.accept,
        "AssembleWith": "Line",
        **({"KmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
    }
    return {"TransformJobName": name, **request, "TransformOutput": output, "Tags": pipeline_tags(pipeline)}


def launch_transform(
    workspace: Workspace, model: Model, request: Mapping[str, Any], answered: Callable[[], bool]
) -> Launch:
    """Reuse, adopt or start a transform job.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model; it is made at SageMaker unless it exists.
        request: The request, as :func:`transform_request` returns it.
        answered: Returns whether the answers of a job that has completed still exist. If not, the next attempt scores
            again.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
        TrainingFailed: five attempts of this request have failed or were stopped.
    """
    make_model(workspace, model_request(workspace, model))
    create = workspace.aws.client("sagemaker").create_transform_job
    return launch(request, "TransformJobName", partial(_find, workspace, answered), create)


def _find(workspace: Workspace, answered: Callable[[], bool], name: str) -> TransformJob | None:
    """Return a job. One whose answers were removed since counts as stopped."""
    scoring = find_scoring(workspace, name)
    if scoring is None or not scoring.completed or answered():
        return scoring
    return replace(scoring, status="Stopped", failure_reason="its answers were removed")


def find_scoring(workspace: Workspace, name: str) -> TransformJob | None:
    """Return a transform job, by one call.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Returns:
        None if there is no such job.
    """
    try:
        job = workspace.aws.client("sagemaker").describe_transform_job(TransformJobName=name)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    return TransformJob(
        name=name,
        status=job["TransformJobStatus"],
        failure_reason=" ".join(job.get("FailureReason", "").split()),
        instance_type=job["TransformResources"]["InstanceType"],
        billable_seconds=_billable_seconds(job),
    )


def _billable_seconds(job: Mapping[str, Any]) -> float:
    if "TransformStartTime" not in job or "TransformEndTime" not in job:
        return 0
    seconds: float = (job["TransformEndTime"] - job["TransformStartTime"]).total_seconds()
    return seconds


def attempted_scorings(workspace: Workspace, name: str) -> list[TransformJob]:
    """Return all attempts of a scoring, each of which AWS bills.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the first attempt.
    """
    found: list[TransformJob] = []
    for attempt in attempts(name):
        scoring = find_scoring(workspace, attempt)
        if scoring is None:
            break
        found.append(scoring)
    return found


def completed_scoring(workspace: Workspace, name: str) -> TransformJob:
    """Return a transform job, and require that it has completed.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Raises:
        TrainingFailed: it has not completed; the message has SageMaker's reason.
    """
    scoring = find_scoring(workspace, name)
    if scoring is None or not scoring.completed:
        found = "does not exist" if scoring is None else f"ended {scoring.status} ({_why(scoring)})"
        raise TrainingFailed(
            f"transform job {name} {found}; its log is /aws/sagemaker/TransformJobs, stream {name}; correct the cause, "
            f"then clear the task that launched it"
        )
    return scoring


def _why(scoring: TransformJob) -> str:
    return scoring.failure_reason or (WHO_STOPS if scoring.status == "Stopped" else "SageMaker gives no reason")


def stop_scoring(workspace: Workspace, name: str) -> bool:
    """Stop a transform job, unless it has ended or does not exist; return whether it was in progress.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.
    """
    request = workspace.aws.client("sagemaker").stop_transform_job
    return stop(lambda: find_scoring(workspace, name), lambda: request(TransformJobName=name))
