"""Schedules of CloudFormation stacks, of which the emulator keeps some properties only.

Source: AWS CloudFormation Template Reference, AWS::Scheduler::Schedule.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.services import scheduler

from localcloud.emulator.schedules.operations import check_schedule
from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import service_model, validate

TYPE = "AWS::Scheduler::Schedule"

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]


def patch(handlers: dict[str, dict[str, Any]]) -> None:
    """Replace the emulator's handlers of schedules.

    Args:
        handlers: The emulator's handlers of resources, by type.
    """
    handlers[TYPE]["create"] = _create
    handlers[TYPE]["update"] = _update


def _create(logical_id: str, properties: Properties, stack: str) -> Made:
    from ministack.services.cloudformation import provisioners

    name: str = properties.get("Name") or provisioners._physical_name(stack, logical_id, max_len=64)
    return _made(scheduler._create_schedule, name, properties)


def _update(name: str, old: Properties, new: Properties, stack: str) -> Made:
    if (new.get("Name") or name) != name or new.get("GroupName") != old.get("GroupName"):
        return _create(name, new, stack)  # the emulator then deletes the old one
    return _made(scheduler._update_schedule, name, new)


def _made(change: Callable[[str, Properties], Any], name: str, properties: Properties) -> Made:
    """Make or change a schedule, and return its name and attributes.

    Raises:
        ValueError: Scheduler refuses it; the message is its own.
    """
    scheduler._ensure_default_group()
    members = {**properties, "Name": name}
    dates: Properties = {
        each: 0 for each in ("StartDate", "EndDate") if each in members
    }  # text here, numbers in a request
    try:
        validate(service_model("scheduler").operation_model("CreateSchedule"), {**members, **dates})
        check_schedule(members)
    except ServiceError as error:
        raise ValueError(error.message) from error
    status, _, body = change(name, members)
    if status != 200:
        raise ValueError(json.loads(body).get("Message") or json.loads(body).get("message"))
    return name, {"Arn": json.loads(body)["ScheduleArn"]}
