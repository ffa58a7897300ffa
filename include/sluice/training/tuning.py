"""Tuning jobs: found, followed and stopped. The best of its training jobs is the candidate's."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import TrainingFailed
from sluice.training.jobs import Job, completed_job, find_job
from sluice.training.stopping import WHO_STOPS, stop
from sluice.workspace import Workspace

_IN_PROGRESS = {"InProgress", "Stopping"}
_FAILED = ("NonRetryableError", "RetryableError")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuningJob:
    """A tuning job as SageMaker describes it.

    ``most`` is how many training jobs it runs, ``over`` how many have ended, and ``failed`` how many of these failed.
    ``best`` is the best of them so far; empty if none has reported the ``metric`` yet. ``value`` is that of the best
    one, and ``chosen`` are its hyperparameters that were searched.
    """

    name: str
    status: str
    failure_reason: str
    most: int
    over: int
    failed: int
    metric: str
    best: str
    value: float
    chosen: Mapping[str, str]

    @property
    def completed(self) -> bool:
        """Whether the job has ended with a best training job."""
        return self.status == "Completed" and self.best != ""

    @property
    def ended(self) -> bool:
        """Whether the job has completed, failed or been stopped."""
        return self.status not in _IN_PROGRESS


def find_tuning(workspace: Workspace, name: str) -> TuningJob | None:
    """Return a tuning job, by one call.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Returns:
        None if there is no such job.
    """
    sagemaker = workspace.aws.client("sagemaker")
    try:
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    config, counters = job["HyperParameterTuningJobConfig"], job["TrainingJobStatusCounters"]
    best: Any = job.get("BestTrainingJob", {})
    return TuningJob(
        name=name,
        status=job["HyperParameterTuningJobStatus"],
        failure_reason=" ".join(job.get("FailureReason", "").split()),
        most=config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 0),
        over=sum(count for status, count in counters.items() if status != "InProgress"),
        failed=sum(counters.get(status, 0) for status in _FAILED),
        metric=config.get("HyperParameterTuningJobObjective", {}).get("MetricName", ""),
        best=best.get("TrainingJobName", ""),
        value=best.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value", float("nan")),
        chosen=best.get("TunedHyperParameters", {}),
    )


def tuning_progress(job: TuningJob) -> str:
    """Return how far a tuning job is: its status, how many training jobs have ended, and the best value so far.

    Args:
        job: The job, as it was found a moment ago.
    """
    told = f"{job.status}: {job.over} of {job.most} training jobs have ended"
    if not job.best:
        return told
    chosen = ", ".join(f"{name} {_short(value)}" for name, value in sorted(job.chosen.items()))
    return f"{told}, best {job.metric} {job.value:g} ({chosen})"


def completed_tuning(workspace: Workspace, name: str) -> Job:
    """Return the best training job of a tuning job, and require that both have completed.

    Its ``billable_seconds`` are those of all training jobs of the tuning job, because each was paid for the model.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the tuning job.

    Raises:
        TrainingFailed: there is no model; the message has SageMaker's reason.
    """
    tuning = find_tuning(workspace, name)
    if tuning is None:
        raise TrainingFailed(f"tuning job {name} does not exist; clear the launch task")
    if not tuning.completed:
        told = tuning.failure_reason or f"no training job has reported {tuning.metric}"
        told = f"{told}: {WHO_STOPS}" if tuning.status == "Stopped" else told
        raise TrainingFailed(
            f"tuning job {name} ended {tuning.status} without a best training job ({told}); "
            f"{tuning.failed} of {tuning.over} training jobs failed{_why(workspace, tuning)}; "
            f"correct the cause, then clear the launch task for a new attempt"
        )
    _log.info("tuning job %s is %s", name, tuning_progress(tuning))
    best = completed_job(workspace, tuning.best)
    return replace(best, billable_seconds=sum(map(_billed, _trained(workspace, name))))


def best_artefact(workspace: Workspace, tuning: TuningJob) -> str:
    """Return the artefact of the best training job; empty if there is none.

    Args:
        workspace: The workspace of the pipeline that trains.
        tuning: A tuning job that has completed.
    """
    best = find_job(workspace, tuning.best)
    return best.model_uri if best else ""


def stop_tuning(workspace: Workspace, name: str) -> bool:
    """Stop a tuning job with its training jobs, unless it has ended or does not exist; return whether it was running.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the tuning job.
    """
    request = workspace.aws.client("sagemaker").stop_hyper_parameter_tuning_job
    return stop(lambda: find_tuning(workspace, name), lambda: request(HyperParameterTuningJobName=name))


def _trained(workspace: Workspace, name: str, **filters: Any) -> Iterator[Any]:
    paginator = workspace.aws.client("sagemaker").get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    pages = paginator.paginate(HyperParameterTuningJobName=name, PaginationConfig={"PageSize": 100}, **filters)
    return (job for page in pages for job in page["TrainingJobSummaries"])


def _billed(job: Any) -> int:
    """Return the seconds from the start to the end, which are billed (API reference, HyperParameterTrainingJobSummary).

    A job that never got an instance has neither.
    """
    if "TrainingStartTime" not in job or "TrainingEndTime" not in job:
        return 0
    ran: timedelta = job["TrainingEndTime"] - job["TrainingStartTime"]
    return math.ceil(ran.total_seconds())


def _why(workspace: Workspace, tuning: TuningJob) -> str:
    """Return why the first of the training jobs that failed did so; empty if none did."""
    failed = next(_trained(workspace, tuning.name, StatusEquals="Failed"), None) if tuning.failed else None
    if failed is None:
        return ""
    return f", {failed['TrainingJobName']} because of {' '.join(failed.get('FailureReason', 'no reason').split())}"


def _short(value: str) -> str:
    """Return a value as a log shows it: numbers with six digits."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
