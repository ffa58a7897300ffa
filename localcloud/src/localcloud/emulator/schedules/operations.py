"""Checks requests to EventBridge Scheduler, and leaves their answers to the emulator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json

from localcloud.emulator.schedules import occurrences
from localcloud.emulator.schedules.occurrences import ExpressionError
from localcloud.service_model import rest
from localcloud.service_model.errors import ServiceError, validation_error
from localcloud.service_model.rest import HttpRequest
from localcloud.service_model.validation import validate

Answer = tuple[int, dict[str, Any], Any]
Handler = Callable[[str, str, dict[str, str], bytes, Mapping[str, Any]], Awaitable[Answer]]

OPERATIONS = frozenset(
    {
        *("CreateSchedule", "UpdateSchedule", "GetSchedule", "DeleteSchedule", "ListSchedules"),
        *("CreateScheduleGroup", "GetScheduleGroup", "DeleteScheduleGroup", "ListScheduleGroups"),
        *("TagResource", "UntagResource", "ListTagsForResource"),
    }
)
_TARGETS = ("lambda", "sns", "sqs", "states")
_PARTS_OF_ARN = 6


def checked(handle: Handler) -> Handler:
    """Return the emulator's handler of Scheduler, with checks before it."""

    async def call(method: str, path: str, headers: dict[str, str], body: bytes, query: Mapping[str, Any]) -> Answer:
        try:
            request = HttpRequest(method, path, query, headers, body)
            operation, members = rest.read("scheduler", OPERATIONS, request)
            validate(operation, members)
            if operation.name in ("CreateSchedule", "UpdateSchedule"):
                check_schedule(members)
            return await handle(method, path, headers, body, query)
        except ServiceError as error:
            refused: Answer = error_response_json(error.code, error.message, error.status)
            return refused

    return call


def check_schedule(members: Mapping[str, Any]) -> None:
    """Refuse a schedule that would never fire, or whose target this cloud can't call.

    Args:
        members: The members of CreateSchedule or UpdateSchedule.

    Raises:
        ServiceError: It is refused.
    """
    try:
        occurrences.check(members["ScheduleExpression"], members.get("ScheduleExpressionTimezone") or "UTC")
    except ExpressionError as error:
        raise validation_error(str(error)) from error
    parts = members["Target"]["Arn"].split(":", _PARTS_OF_ARN - 1)
    if len(parts) < _PARTS_OF_ARN or parts[2] not in _TARGETS:
        known = ", ".join(_TARGETS)
        raise validation_error(f"{members['Target']['Arn']} is no target of this cloud, which calls {known}.")
