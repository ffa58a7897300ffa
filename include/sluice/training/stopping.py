"""Stops paid jobs, and says why one was stopped (P7)."""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import ClientError

from sluice.training.attempts import PaidJob

WHO_STOPS = (
    "it was stopped by a user who cleared, failed or marked the task that waited for it, by `sluice clean`, or by "
    "another caller, whom CloudTrail names"
)


def stop(find: Callable[[], PaidJob | None], request: Callable[[], object]) -> bool:
    """Stop a job, unless it has ended or does not exist.

    SageMaker refuses to stop a job that has ended, and a job may end at any moment: what it is now decides.

    Args:
        find: Returns the job as it is now; None if it does not exist.
        request: Requests that the job is stopped.

    Returns:
        Whether the job was still in progress, and SageMaker has taken the request.

    Raises:
        ClientError: the request failed, and the job is in progress.
    """
    job = find()
    if job is None or job.ended:
        return False
    try:
        request()
    except ClientError:
        job = find()
        if job is not None and not job.ended:
            raise
        return False
    return True
