"""The states of a training job."""

from __future__ import annotations

from typing import Any

from localcloud.sagemaker.training import status


def job_after(*steps: str) -> dict[str, Any]:
    job: dict[str, Any] = {}
    for time, step in enumerate(steps):
        status.enter(job, step, float(time))
    return job


def test_times_are_those_of_the_transitions() -> None:
    job = job_after("Starting", "Downloading", "Training", "Uploading", "Completed")
    assert job["TrainingJobStatus"] == "Completed"
    assert (job["TrainingStartTime"], job["TrainingEndTime"], job["LastModifiedTime"]) == (1.0, 4.0, 4.0)
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (3, 3)
    assert [(each["StartTime"], each["EndTime"]) for each in job["SecondaryStatusTransitions"]] == [
        *((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 4.0)),
    ]


def test_a_stopping_job_only_moves_on_to_its_end() -> None:
    job = job_after("Starting", "Downloading", "Stopping", "Training")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopping", "Stopping")
    status.enter(job, "Stopped", 9.0)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_a_job_whose_time_is_over_is_stopped() -> None:
    job = job_after("Starting", "Downloading", "Training", "MaxRuntimeExceeded")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_job_that_never_started_has_no_times() -> None:
    job = job_after("Starting", "Stopping", "Stopped")
    assert "TrainingStartTime" not in job
    assert "BillableTimeInSeconds" not in job


def test_a_reason_is_cut_at_1024_characters() -> None:
    job = job_after("Starting", "Downloading", "Training")
    status.fail(job, "x" * 2000, 3.0)
    assert job["FailureReason"] == "x" * 1024


def test_every_message_differs() -> None:
    assert len(set(status.MESSAGES.values())) == len(status.MESSAGES)
