"""One paid job for one request, however often it is launched (P7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code
from sluice.errors import TrainingFailed

# A job's name can't be reused, even if the job failed: the next launch takes the name of the next attempt.
_MOST_ATTEMPTS = 5


class PaidJob(Protocol):
    """A job of SageMaker, as far as launching needs it."""

    @property
    def ended(self) -> bool:
        """Whether it has completed, failed or been stopped."""

    @property
    def completed(self) -> bool:
        """Whether it has done its work."""

    @property
    def failure_reason(self) -> str:
        """Why it failed; empty if it did not."""


@dataclass(frozen=True)
class Launch:
    """The job of a request, and what the launch did.

    ``action`` is ``started``; ``adopted`` if the job was running already; or ``reused`` if it had completed.
    """

    job_name: str
    action: Literal["started", "adopted", "reused"]


def launch(
    request: Mapping[str, Any], member: str, find: Callable[[str], PaidJob | None], create: Callable[..., Any]
) -> Launch:
    """Reuse, adopt or start the job that a request names.

    Args:
        request: The arguments of ``create``.
        member: The member of the request that has the job's name.
        find: Returns the job of a name; None if there is none.
        create: The client's method that creates a job. It is called once, or not at all.

    Raises:
        TrainingFailed: five attempts of this request have failed or were stopped.
    """
    for name in attempts(request[member]):
        job = find(name)
        if job is None:
            return Launch(name, "started" if _create(create, {**request, member: name}) else "adopted")
        if job.completed or not job.ended:
            return Launch(name, "reused" if job.completed else "adopted")
    raise TrainingFailed(
        f"job {request[member]} failed or was stopped {_MOST_ATTEMPTS} times, the last one as {name} "
        f"({job.failure_reason if job else ''}); change the data or the declaration before training again"
    )


def attempts(name: str) -> Iterator[str]:
    """Yield the names of the attempts of a job, from the first on.

    Args:
        name: The name in the request.
    """
    yield name
    yield from (f"{name}-{attempt}" for attempt in range(2, _MOST_ATTEMPTS + 1))


def _create(create: Callable[..., Any], request: Mapping[str, Any]) -> bool:
    """Create the job; return False if another caller has created the same one since it was looked up."""
    try:
        create(**request)
    except ClientError as error:
        if error_code(error) != "ResourceInUse":
            raise
        return False
    return True
