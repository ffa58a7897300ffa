"""The states of a training job."""

from __future__ import annotations

from localcloud.sagemaker.training import status
from localcloud.sagemaker.training.documents import Progress


def job_after(*steps: str) -> Progress:
    """Return the progress of a job that starts at 0.0 and has taken these steps, one a second."""
    job = status.start(0.0)
    for time, step in enumerate(steps, start=1):
        status.enter(job, step, float(time))
    return job


def test_the_times_are_those_of_the_transitions() -> None:
    job = job_after("Downloading", "Training", "Uploading", "Completed")
    assert job["TrainingJobStatus"] == "Completed"
    assert (job["TrainingStartTime"], job["TrainingEndTime"], job["LastModifiedTime"]) == (1.0, 4.0, 4.0)
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (3, 3)
    assert [(each["StartTime"], each["EndTime"]) for each in job["SecondaryStatusTransitions"]] == [
        *((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 4.0)),
    ]


def test_a_stopping_job_only_moves_to_its_end() -> None:
    job = job_after("Downloading", "Stopping", "Training")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopping", "Stopping")
    status.enter(job, "Stopped", 9.0)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_a_job_whose_time_is_over_is_stopped() -> None:
    job = job_after("Downloading", "Training", "MaxRuntimeExceeded")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_job_that_never_started_has_no_times() -> None:
    job = job_after("Stopping", "Stopped")
    assert "TrainingStartTime" not in job
    assert "BillableTimeInSeconds" not in job


def test_a_reason_is_cut_at_1024_characters() -> None:
    job = job_after("Downloading", "Training")
    status.fail(job, "x" * 2000, 3.0)
    assert job["FailureReason"] == "x" * 1024


def test_every_message_differs() -> None:
    assert len(set(status.MESSAGES.values())) == len(status.MESSAGES)
