"""Training jobs: one paid job for one request, however often it is launched (P7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code, is_absent
from sluice.dataset.snapshot import read_snapshot
from sluice.errors import TrainingFailed
from sluice.training.request import FINGERPRINT_DIGITS, job_name_stem, training_request
from sluice.workspace import Workspace

# A job's name can't be reused, even if the job failed: the next launch takes the name of the next attempt.
_MOST_ATTEMPTS = 5
_ENDED_WITHOUT_A_MODEL = {"Failed", "Stopped"}


@dataclass(frozen=True)
class Launch:
    """The job of a request, and what the launch did.

    ``action`` is ``started``; ``adopted`` if the job was running already; or ``reused`` if it had completed.
    """

    job_name: str
    action: Literal["started", "adopted", "reused"]


@dataclass(frozen=True)
class Job:
    """A training job as SageMaker describes it.

    ``model_uri`` is the artefact; it and ``failure_reason`` are empty if there is none. ``seconds`` is the time of the
    training. ``metrics`` are those of the last round, such as ``validation:auc``.
    """

    name: str
    status: str
    secondary_status: str
    failure_reason: str
    model_uri: str
    seconds: int
    metrics: Mapping[str, float]

    @property
    def ended(self) -> bool:
        """Whether the job has completed, failed or been stopped."""
        return self.status in {"Completed", *_ENDED_WITHOUT_A_MODEL}


def launch(workspace: Workspace, request: Mapping[str, Any]) -> Launch:
    """Reuse, adopt or start the job that a request names.

    Args:
        workspace: The workspace of the pipeline that trains.
        request: A CreateTrainingJob request.

    Raises:
        TrainingFailed: five attempts of this request have failed or were stopped.
    """
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        name = request["TrainingJobName"] + (f"-{attempt}" if attempt > 1 else "")
        job = find_job(workspace, name)
        if job is None:
            return Launch(name, "started" if _create(workspace, {**request, "TrainingJobName": name}) else "adopted")
        if job.status not in _ENDED_WITHOUT_A_MODEL:
            return Launch(name, "reused" if job.ended else "adopted")
    raise TrainingFailed(
        f"training job {request['TrainingJobName']} failed or was stopped {_MOST_ATTEMPTS} times, the last one as "
        f"{name} ({job.failure_reason if job else ''}); change the data or the declaration before training again"
    )


def launch_training(workspace: Workspace, fingerprint: str) -> Launch:
    """Launch the training of a pipeline's candidate on a snapshot.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: there is no such snapshot.
        TrainingFailed: five attempts of this training have failed or were stopped.
    """
    return launch(workspace, training_request(workspace, read_snapshot(workspace.lake, fingerprint)))


def _create(workspace: Workspace, request: Mapping[str, Any]) -> bool:
    """Create the job; return False if another caller has created the same one since it was looked up."""
    try:
        workspace.aws.client("sagemaker").create_training_job(**request)
    except ClientError as error:
        if error_code(error) != "ResourceInUse":
            raise
        return False
    return True


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
        model_uri=job.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        seconds=job.get("TrainingTimeInSeconds", 0),
        metrics={metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList", [])},
    )


def list_jobs(workspace: Workspace, most: int = 5) -> list[Job]:
    """Return the pipeline's newest jobs, newest first.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        most: The most jobs to return.
    """
    # SageMaker filters by a part of the name only, so other pipelines' jobs are among those that it lists.
    sagemaker, stem = workspace.aws.client("sagemaker"), job_name_stem(workspace.pipeline)
    own = re.compile(rf"{stem}[0-9a-f]{{{FINGERPRINT_DIGITS}}}(-\d)?")
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=stem, SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"PageSize": 100}
    )
    names = (summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"])
    found = (find_job(workspace, name) for name in names if own.fullmatch(name))
    return list(islice((job for job in found if job is not None), most))


def completed_job(workspace: Workspace, name: str) -> Job:
    """Return a job, and require that it has completed.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Raises:
        TrainingFailed: it has not completed; the message has SageMaker's reason.
    """
    job = find_job(workspace, name)
    if job is None:
        raise TrainingFailed(f"training job {name} does not exist; clear the launch task")
    if job.status != "Completed":
        raise TrainingFailed(
            f"training job {name} ended {job.status} ({job.failure_reason or job.secondary_status}); its log is "
            f"/aws/sagemaker/TrainingJobs, stream {name}; correct the cause, then clear the launch task for a new "
            f"attempt"
        )
    return job


def stop_job(workspace: Workspace, name: str) -> None:
    """Stop a job, unless it has ended or does not exist.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.
    """
    job = find_job(workspace, name)
    if job is not None and not job.ended:
        workspace.aws.client("sagemaker").stop_training_job(TrainingJobName=name)
