"""A job may end between the look at it and the request to stop it; every other refusal is an error."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

from sluice.training.stopping import stop

REFUSED = ClientError(
    {"Error": {"Code": "ValidationException", "Message": "The request was rejected because the job is in status X."}},
    "StopTrainingJob",
)


@dataclass(frozen=True)
class Job:
    """A job in a status."""

    status: str
    failure_reason: str = ""

    @property
    def completed(self) -> bool:
        return self.status == "Completed"

    @property
    def ended(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")


def stopped(*statuses: str | None, refused: bool = False) -> tuple[bool, int]:
    """Stop a job that is in these statuses, one look after another; return the answer and the number of requests."""
    looks, requests = iter(statuses), list[None]()

    def request() -> None:
        requests.append(None)
        if refused:
            raise REFUSED

    def find() -> Job | None:
        status = next(looks)
        return Job(status) if status else None

    return stop(find, request), len(requests)


@pytest.mark.parametrize("status", ["InProgress", "Stopping"])
def test_job_in_progress_is_stopped(status: str) -> None:
    assert stopped(status) == (True, 1)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", None])
def test_ended_or_missing_job_is_left_alone(status: str | None) -> None:
    assert stopped(status) == (False, 0)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", None])
def test_job_that_ends_before_the_request_is_left_alone(status: str | None) -> None:
    assert stopped("InProgress", status, refused=True) == (False, 1)


def test_refusal_to_stop_a_job_in_progress_is_raised() -> None:
    with pytest.raises(ClientError, match="rejected"):
        stopped("InProgress", "InProgress", refused=True)
