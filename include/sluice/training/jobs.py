"""Training jobs: one paid job for one request, however often it is launched (P7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code, is_absent
from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.pipeline import Pipeline
from sluice.errors import TrainingFailed
from sluice.training.request import FINGERPRINT_DIGITS, job_name_stem, training_request
from sluice.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# A job's name can't be reused, even if the job failed: the next launch takes the name of the next attempt.
_MOST_ATTEMPTS = 5
_ENDED_WITHOUT_A_MODEL = {"Failed", "Stopped"}


@dataclass(frozen=True)
class Launch:
    """The job of a request, and whether this call ``started``, ``adopted`` (it was running) or ``reused`` it."""

    job_name: str
    action: Literal["started", "adopted", "reused"]


@dataclass(frozen=True)
class Job:
    """A training job as SageMaker describes it: final ``metrics`` such as ``validation:auc``, billed ``seconds``."""

    name: str
    status: str
    secondary_status: str
    failure_reason: str
    model_uri: str
    seconds: int
    metrics: Mapping[str, float]

    @property
    def ended(self) -> bool:
        return self.status in {"Completed", *_ENDED_WITHOUT_A_MODEL}


def launch(sagemaker: SageMakerClient, request: Mapping[str, Any]) -> Launch:
    """Describe the job that the request names, and reuse, adopt or start it.

    Raises:
        TrainingFailed: five attempts of this very request have failed or were stopped.
    """
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        name = request["TrainingJobName"] + (f"-{attempt}" if attempt > 1 else "")
        job = find_job(sagemaker, name)
        if job is None:
            return Launch(name, "started" if _create(sagemaker, {**request, "TrainingJobName": name}) else "adopted")
        if job.status not in _ENDED_WITHOUT_A_MODEL:
            return Launch(name, "reused" if job.ended else "adopted")
    raise TrainingFailed(
        f"training job {request['TrainingJobName']} failed or was stopped {_MOST_ATTEMPTS} times, the last one as "
        f"{name} ({job.failure_reason if job else ''}); change the data or the declaration before training again"
    )


def launch_training(workspace: Workspace, fingerprint: str) -> Launch:
    """Launch the pipeline's candidate on the snapshot of that fingerprint.

    Raises:
        MissingResource: there is no such snapshot.
        TrainingFailed: see :func:`launch`.
    """
    sagemaker = workspace.aws.client("sagemaker")
    snapshot = read_snapshot(workspace.lake, fingerprint)
    role_arn, region = workspace.resources.require_role(), sagemaker.meta.region_name
    return launch(sagemaker, training_request(workspace.lake, workspace.pipeline, snapshot, role_arn, region))


def _create(sagemaker: SageMakerClient, request: Mapping[str, Any]) -> bool:
    """Create the job; False if another caller has created the same one in the meantime."""
    try:
        sagemaker.create_training_job(**request)
    except ClientError as error:
        if error_code(error) != "ResourceInUse":
            raise
        return False
    return True


def find_job(sagemaker: SageMakerClient, name: str) -> Job | None:
    """The job of that name, by one call; None if there is none."""
    try:
        job = sagemaker.describe_training_job(TrainingJobName=name)
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


def list_jobs(sagemaker: SageMakerClient, pipeline: Pipeline, most: int = 5) -> list[Job]:
    """The pipeline's newest jobs, at most ``most``. The service filters by a part of the name only."""
    stem = job_name_stem(pipeline)
    own = re.compile(rf"{stem}[0-9a-f]{{{FINGERPRINT_DIGITS}}}(-\d)?")
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=stem, SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"PageSize": 100}
    )
    names = (summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"])
    found = (find_job(sagemaker, name) for name in names if own.fullmatch(name))
    return list(islice((job for job in found if job is not None), most))


def completed_job(sagemaker: SageMakerClient, name: str) -> Job:
    """The job, which must have completed.

    Raises:
        TrainingFailed: it has not; the message has SageMaker's reason.
    """
    job = find_job(sagemaker, name)
    if job is None:
        raise TrainingFailed(f"training job {name} does not exist; clear the launch task")
    if job.status != "Completed":
        raise TrainingFailed(
            f"training job {name} ended {job.status} ({job.failure_reason or job.secondary_status}); its log is "
            f"/aws/sagemaker/TrainingJobs, stream {name}; correct the cause, then clear the launch task for a new "
            f"attempt"
        )
    return job


def stop_job(sagemaker: SageMakerClient, name: str) -> None:
    """Stop the job; one that has ended is left alone."""
    job = find_job(sagemaker, name)
    if job is not None and not job.ended:
        sagemaker.stop_training_job(TrainingJobName=name)
