"""Runs an operator as worker and triggerer do: execute, defer, trigger, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from sluice_airflow import operators, sensors, triggers

_SECONDS = 60


class Clock:
    """The clock of operators, sensors and triggers, in seconds since the epoch: a pause moves it, and lasts no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in (operators, sensors, triggers):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: self.now))
        paused = SimpleNamespace(**{**vars(asyncio), "sleep": self._sleep})
        monkeypatch.setattr(triggers, "asyncio", paused)

    async def _sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)  # a rest that is too small to add would never end
        await asyncio.sleep(0)


def lines_of_triggers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets each line which triggers log from now on."""
    lines: list[str] = []

    def log(message: str, *arguments: Any) -> None:
        lines.append(message % arguments)

    monkeypatch.setattr(triggers.ProbeTrigger, "log", SimpleNamespace(info=log, warning=log))
    return lines


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
