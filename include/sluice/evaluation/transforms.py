"""The transform jobs that score rows: found, required to be complete, and stopped."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import TrainingFailed
from sluice.workspace import Workspace


@dataclass(frozen=True)
class Scoring:
    """A transform job as SageMaker describes it."""

    name: str
    status: str
    failure_reason: str

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


def find_scoring(workspace: Workspace, name: str) -> Scoring | None:
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
    return Scoring(name, job["TransformJobStatus"], " ".join(job.get("FailureReason", "").split()))


def completed_scoring(workspace: Workspace, name: str) -> Scoring:
    """Return a transform job, and require that it has completed.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Raises:
        TrainingFailed: it has not completed; the message has SageMaker's reason.
    """
    scoring = find_scoring(workspace, name)
    if scoring is None or not scoring.completed:
        found = "does not exist" if scoring is None else f"ended {scoring.status} ({scoring.failure_reason})"
        raise TrainingFailed(
            f"transform job {name} {found}; its log is /aws/sagemaker/TransformJobs, stream {name}; correct the cause, "
            f"then clear the task that launched it"
        )
    return scoring


def stop_scoring(workspace: Workspace, name: str) -> None:
    """Stop a transform job, unless it has ended or does not exist.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.
    """
    scoring = find_scoring(workspace, name)
    if scoring is not None and not scoring.ended:
        workspace.aws.client("sagemaker").stop_transform_job(TransformJobName=name)
