"""Training jobs: launched, found, listed and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import TrainingFailed
from sluice.training.log import GROUP, last_lines
from sluice.training.names import is_job_of, listed_by
from sluice.training.stopping import WHO_STOPS, stop
from sluice.workspace import Workspace

_ENDED_WITHOUT_A_MODEL = {"Failed", "Stopped"}
_LINES_OF_A_FAILURE = 5
# The secondary statuses of a job that SageMaker itself has stopped (API reference, DescribeTrainingJob).
_STOPPED_BY = {
    "MaxRuntimeExceeded": "it ran for the max_runtime of Training; declare a longer one, or fewer rounds",
    "MaxWaitTimeExceeded": "it waited and ran for the time that spot of its candidate allows; declare a longer one",
    "Interrupted": "SageMaker took its spare capacity back; a new attempt goes on from its last checkpoint",
}


@dataclass(frozen=True)
class Job:
    """A training job as SageMaker describes it.

    ``model_uri`` is the artefact; it and ``failure_reason`` are empty if there is none. ``seconds`` is the time of the
    training, ``billable_seconds`` those that AWS bills. ``metrics`` are those of the last round, such as
    ``validation:auc``. ``ended_at`` is None while the job runs. Times are UTC.
    """

    name: str
    status: str
    secondary_status: str
    failure_reason: str
    image: str
    instance_type: str
    model_uri: str
    created: datetime
    ended_at: datetime | None
    seconds: int
    billable_seconds: int
    metrics: Mapping[str, float]

    @property
    def completed(self) -> bool:
        """Whether the job has made a model."""
        return self.status == "Completed"

    @property
    def ended(self) -> bool:
        """Whether the job has completed, failed or been stopped."""
        return self.completed or self.status in _ENDED_WITHOUT_A_MODEL


def find_job(workspace: Workspace, name: str) -> Job | None:
    """Return a job, by one call.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Returns:
        None if there is no such job.
    """
    try:
        job = workspace.aws.client("sagemaker").describe_training_job(TrainingJobName=name)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    return Job(
        name=name,
        status=job["TrainingJobStatus"],
        secondary_status=job["SecondaryStatus"],
        failure_reason=" ".join(job.get("FailureReason", "").split()),  # the log of a container has many lines
        image=job["AlgorithmSpecification"].get("TrainingImage", ""),
        instance_type=job["ResourceConfig"].get("InstanceType", ""),
        model_uri=job.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        created=job["CreationTime"].astimezone(UTC),
        ended_at=job["TrainingEndTime"].astimezone(UTC) if "TrainingEndTime" in job else None,
        seconds=job.get("TrainingTimeInSeconds", 0),
        billable_seconds=job.get("BillableTimeInSeconds", 0),
        metrics={metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList", [])},
    )


def progress(workspace: Workspace, job: Job) -> str:
    """Return how far a job is: its secondary status, and its metrics or the last line of its log if it trains.

    Args:
        workspace: The workspace of the pipeline that trains.
        job: The job, as it was found a moment ago.
    """
    told = ", ".join(f"{name} {value:g}" for name, value in sorted(job.metrics.items()))
    if not told and job.secondary_status == "Training":
        told = last_lines(workspace, job.name, 1)
    return f"{job.secondary_status}: {told}" if told else job.secondary_status


def list_jobs(workspace: Workspace, most: int = 5) -> list[Job]:
    """Return the pipeline's newest jobs, newest first.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        most: The most jobs to return.
    """
    # SageMaker filters by a part of the name only, so other pipelines' jobs are among those that it lists.
    pipeline, sagemaker = workspace.pipeline, workspace.aws.client("sagemaker")
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=listed_by(pipeline),
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"PageSize": 100},
    )
    names = (summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"])
    found = (find_job(workspace, name) for name in names if is_job_of(pipeline, name))
    return list(islice((job for job in found if job is not None), most))


def completed_job(workspace: Workspace, name: str) -> Job:
    """Return a job, and require that it has completed.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Raises:
        TrainingFailed: it has not completed; the message has SageMaker's reason and the end of the job's log.
    """
    job = find_job(workspace, name)
    if job is None:
        raise TrainingFailed(f"training job {name} does not exist; clear the launch task")
    if not job.completed:
        raise TrainingFailed(
            f"training job {name} ended {job.status} ({_why(job)}); its log "
            f"({GROUP}, stream {name}/…) ends: {last_lines(workspace, name, _LINES_OF_A_FAILURE) or 'no lines'}; "
            f"correct the cause, then clear the launch task for a new attempt"
        )
    return job


def _why(job: Job) -> str:
    """Return why a job ended without a model, in SageMaker's words and in those of the declaration."""
    if job.status != "Stopped":
        return job.failure_reason or job.secondary_status
    told = f"{job.secondary_status}, {job.failure_reason}" if job.failure_reason else job.secondary_status
    return f"{told}: {_STOPPED_BY.get(job.secondary_status, WHO_STOPS)}"


def stop_job(workspace: Workspace, name: str) -> bool:
    """Stop a job, unless it has ended or does not exist; return whether it was in progress.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.
    """
    request = workspace.aws.client("sagemaker").stop_training_job
    return stop(lambda: find_job(workspace, name), lambda: request(TrainingJobName=name))
