"""The states of a training job, and the message of each transition.

InProgress (Starting, Downloading, Training, Uploading), then Completed or Failed; or Stopping, then Stopped
or MaxRuntimeExceeded. Waiters read StatusMessage, so it changes on every transition, the last one too. Documents are
changed in place; times are seconds since the epoch.
"""

from __future__ import annotations

import math

from localcloud.sagemaker.training.documents import Progress

MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
_STATUS = {
    **{secondary: "InProgress" for secondary in ("Starting", "Downloading", "Training", "Uploading")},
    **{final: final for final in ("Completed", "Failed", "Stopping", "Stopped")},
    "MaxRuntimeExceeded": "Stopped",
}
_PREPARING = "Preparing the instances for training"
_REASON_CHARACTERS = 1024


def start(now: float) -> Progress:
    """Return the progress of a job that starts now."""
    return {
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Starting",
        "LastModifiedTime": now,
        "SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": now, "StatusMessage": MESSAGES["Starting"]}],
    }


def enter(job: Progress, secondary: str, now: float) -> None:
    """Move the job to a secondary status. From Stopping, a job only moves to its end.

    Args:
        job: The job's document.
        secondary: The secondary status, a key of `MESSAGES`.
        now: The time of the transition.
    """
    if job["TrainingJobStatus"] == "Stopping" and _STATUS[secondary] == "InProgress":
        return
    job["TrainingJobStatus"] = _STATUS[secondary]
    job["SecondaryStatus"] = secondary
    job["LastModifiedTime"] = now
    transitions = job["SecondaryStatusTransitions"]
    transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": MESSAGES[secondary]})
    if secondary == "Downloading":
        job["TrainingStartTime"] = now
    if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
        transitions[-1]["EndTime"] = now
        _close(job, now)


def prepare(job: Progress) -> None:
    """Change the message of a job that is Starting, as it has its cores now."""
    if job["SecondaryStatus"] == "Starting":
        job["SecondaryStatusTransitions"][-1]["StatusMessage"] = _PREPARING


def fail(job: Progress, reason: str, now: float) -> None:
    """End the job as Failed.

    Args:
        job: The job's document.
        reason: The FailureReason; its first 1024 characters are kept.
        now: The time of the end.
    """
    enter(job, "Failed", now)
    job["FailureReason"] = reason[:_REASON_CHARACTERS]


def _close(job: Progress, now: float) -> None:
    job["TrainingEndTime"] = now
    if "TrainingStartTime" in job:
        seconds = math.ceil(now - job["TrainingStartTime"])
        job["TrainingTimeInSeconds"] = seconds
        job["BillableTimeInSeconds"] = seconds
