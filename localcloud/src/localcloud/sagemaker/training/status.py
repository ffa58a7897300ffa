"""How a training job moves through its states, and what each transition says.

InProgress (Starting, Downloading, Training, Uploading), then Completed or Failed; or Stopping, then Stopped
or MaxRuntimeExceeded. Waiters read StatusMessage: it changes on every transition, the last one too.
"""

from __future__ import annotations

import math
from typing import Any

from localcloud.sagemaker.api.store import Document

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


def _is_over(job: Document) -> bool:
    """Whether the job has reached a final state."""
    return job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")


def enter(job: Document, secondary: str, now: float) -> None:
    """Move the job to a secondary status. A job that is stopping only moves on to its end."""
    if job.get("TrainingJobStatus") == "Stopping" and _STATUS[secondary] == "InProgress":
        return
    job["TrainingJobStatus"] = _STATUS[secondary]
    job["SecondaryStatus"] = secondary
    job["LastModifiedTime"] = now
    transitions: list[dict[str, Any]] = job.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": MESSAGES[secondary]})
    if secondary == "Downloading":
        job["TrainingStartTime"] = now
    if _is_over(job):
        transitions[-1]["EndTime"] = now
        _close(job, now)


def prepare(job: Document) -> None:
    """Say that a job which is Starting has its cores."""
    if job["SecondaryStatus"] == "Starting":
        job["SecondaryStatusTransitions"][-1]["StatusMessage"] = _PREPARING


def fail(job: Document, reason: str, now: float) -> None:
    """End the job as Failed for the reason."""
    enter(job, "Failed", now)
    job["FailureReason"] = reason[:_REASON_CHARACTERS]


def _close(job: Document, now: float) -> None:
    job["TrainingEndTime"] = now
    if "TrainingStartTime" in job:
        seconds = math.ceil(now - job["TrainingStartTime"])
        job["TrainingTimeInSeconds"] = seconds
        job["BillableTimeInSeconds"] = seconds
