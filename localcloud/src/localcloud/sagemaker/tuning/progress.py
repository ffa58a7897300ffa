"""How far a tuning job is, by its training jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localcloud.sagemaker.training.documents import TrainingJob
from localcloud.sagemaker.tuning.documents import Objective, ObjectiveValue, Progress, TrainingJobSummary, TuningJob

IN_PROGRESS = ("InProgress", "Stopping")
_RETRYABLE = "InternalServerError"  # the beginning of such a FailureReason
_SHOWN = (
    *("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime"),
    *("TrainingJobStatus", "TunedHyperParameters", "FailureReason"),
)


def objective_of(tuning: TuningJob) -> Objective:
    """Return the objective of a tuning job, which it has."""
    return tuning["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]


def value_of(objective: Objective, job: TrainingJob) -> float | None:
    """Return the last value of the objective metric of a training job that has completed; None if it has none."""
    if job["TrainingJobStatus"] != "Completed":
        return None
    metrics = {each["MetricName"]: each["Value"] for each in job.get("FinalMetricDataList", [])}
    return metrics.get(objective["MetricName"])


def merit_of(objective: Objective, job: TrainingJob) -> float | None:
    """Return the value of the objective metric, of which more is better; None if there is none."""
    value = value_of(objective, job)
    return None if value is None else value if objective["Type"] == "Maximize" else -value


def summary_of(tuning: TuningJob, job: TrainingJob) -> TrainingJobSummary:
    """Return a training job as the answers about its tuning job have it."""
    objective = objective_of(tuning)
    members: Mapping[str, object] = job
    summary: TrainingJobSummary = {each: members[each] for each in _SHOWN if each in members}  # type: ignore[assignment]
    value = value_of(objective, job)
    if value is not None:
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = ObjectiveValue(
            Type=objective["Type"], MetricName=objective["MetricName"], Value=value
        )
    summary["ObjectiveStatus"] = _objective_status(job, value)
    if "DefinitionName" in tuning["TrainingJobDefinition"]:
        summary["TrainingJobDefinitionName"] = tuning["TrainingJobDefinition"]["DefinitionName"]
    return summary


def _objective_status(job: TrainingJob, value: float | None) -> str:
    if job["TrainingJobStatus"] in IN_PROGRESS:
        return "Pending"
    return "Failed" if value is None else "Succeeded"


def progress_of(tuning: TuningJob, jobs: Sequence[TrainingJob]) -> Progress:
    """Return how far a tuning job is; of equally good training jobs, the first is the best.

    Args:
        tuning: The tuning job's document.
        jobs: Its training jobs, in the order of their names.
    """
    if "Ended" in tuning:
        return tuning["Ended"]
    objective = objective_of(tuning)
    statuses = [_status(job) for job in jobs]
    objectives = [summary_of(tuning, job)["ObjectiveStatus"] for job in jobs]
    progress: Progress = {
        "TrainingJobStatusCounters": {
            each: statuses.count(each)
            for each in ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
        },
        "ObjectiveStatusCounters": {each: objectives.count(each) for each in ("Succeeded", "Pending", "Failed")},
    }
    merits = [(merit, job) for job in jobs if (merit := merit_of(objective, job)) is not None]
    if merits:
        progress["BestTrainingJob"] = summary_of(tuning, max(merits, key=lambda each: each[0])[1])
    return progress


def _status(job: TrainingJob) -> str:
    status = job["TrainingJobStatus"]
    if status == "Failed":
        return "RetryableError" if job.get("FailureReason", "").startswith(_RETRYABLE) else "NonRetryableError"
    return "InProgress" if status in IN_PROGRESS else status
