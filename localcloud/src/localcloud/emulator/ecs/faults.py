"""Faults of AWS that a test asks for, by tags with reserved keys.

A cluster with the tag ``localcloud:run-task`` refuses tasks as its value says, until the tag is removed. A task on
Fargate Spot is interrupted when it gets the tag ``localcloud:interrupt``, of any value.

Source: Amazon ECS API Reference, RunTask; AWS re:Post, "How do I troubleshoot an Amazon ECS RunTask API for a Fargate
task that fails with a Capacity is unavailable error?".
"""

from __future__ import annotations

from localcloud.emulator.ecs.state import Record, client_error, invalid, tags
from localcloud.service_model.errors import ServiceError

RUN_TASK = "localcloud:run-task"
INTERRUPT = "localcloud:interrupt"

_NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
_VALUES = (
    *("no-capacity", "no-spot-capacity", "capacity-exception"),
    *("no-spot-in-region", "vcpu-limit", "throttling"),
)


def refuse(cluster: Record, uses_spot: bool) -> None:
    """Refuse a RunTask as a whole, if a test has asked for it.

    Args:
        cluster: The cluster.
        uses_spot: Whether any of the tasks would run on FARGATE_SPOT.

    Raises:
        ServiceError: The error that a test has asked for.
    """
    fault = _fault(cluster)
    if fault == "capacity-exception":
        raise client_error(_NO_CAPACITY)
    if fault == "vcpu-limit":
        raise client_error("You've reached the limit on the number of vCPUs you can run concurrently")
    if fault == "throttling":
        raise ServiceError("ThrottlingException", "Rate exceeded")
    if fault == "no-spot-in-region" and uses_spot:
        raise invalid("The capacity provider FARGATE_SPOT is not supported in this region.")


def failure(cluster: Record, provider: str) -> Record | None:
    """Return why there is no capacity for one task, as RunTask's failures have it; None if there is.

    Args:
        cluster: The cluster.
        provider: FARGATE or FARGATE_SPOT.
    """
    fault = _fault(cluster)
    if fault == "no-capacity" or (fault == "no-spot-capacity" and provider == "FARGATE_SPOT"):
        return {"reason": _NO_CAPACITY}
    return None


def _fault(cluster: Record) -> str | None:
    fault = next((tag.get("value", "") for tag in tags(cluster["clusterArn"]) if tag["key"] == RUN_TASK), None)
    if fault is not None and fault not in _VALUES:
        raise invalid(f"The tag {RUN_TASK} of cluster {cluster['clusterName']} has to be one of {', '.join(_VALUES)}.")
    return fault
