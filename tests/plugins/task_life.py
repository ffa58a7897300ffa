"""Runs an operator as worker and triggerer do: execute, defer, trigger, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

_SECONDS = 60


def run(operator: BaseOperator, context: Any = None) -> Any:
    """Run the task to its end and return its result; every wait in between is the real trigger's."""
    return run_from(partial(operator.execute, context or {}), operator, context)


def run_from(step: Callable[[], Any], operator: BaseOperator, context: Any = None) -> Any:
    """Run the task from this step to its end and return its result."""
    context = context or {}
    while True:
        try:
            return step()
        except TaskDeferred as deferral:
            step = partial(getattr(operator, deferral.method_name), context, event=event_of(deferral.trigger))


def deferral_of(operator: BaseOperator, context: Any = None) -> TaskDeferred:
    """Return the first deferral of the operator; fail if it does not defer."""
    try:
        returned = operator.execute(context or {})
    except TaskDeferred as deferral:
        return deferral
    raise AssertionError(f"{operator.task_id} did not defer, it returned {returned!r}")


def event_of(trigger: Any) -> Any:
    """Return the first event of the trigger, rebuilt as in another process."""

    async def first() -> Any:
        async for event in rebuilt(trigger).run():
            return event.payload

    return asyncio.run(asyncio.wait_for(first(), _SECONDS))


def rebuilt(trigger: Any) -> Any:
    """Return the trigger that its serialized form makes."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**arguments)
