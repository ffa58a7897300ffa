"""The transform jobs that score rows: found, required to be complete, and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import TrainingFailed
from sluice.training.attempts import attempts
from sluice.workspace import Workspace


@dataclass(frozen=True)
class Scoring:
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
    return Scoring(
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


def attempted_scorings(workspace: Workspace, name: str) -> list[Scoring]:
    """Return all attempts of a scoring, each of which AWS bills.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the first attempt.
    """
    found: list[Scoring] = []
    for attempt in attempts(name):
        scoring = find_scoring(workspace, attempt)
        if scoring is None:
            break
        found.append(scoring)
    return found


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
