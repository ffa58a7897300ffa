"""Runs steps in the Airflow worker itself, the only runtime so far."""

from __future__ import annotations

from typing_extensions import override

from sluice.compute.contract import Runtime, Started, StepResult
from sluice.steps.runner import run_step
from sluice.workspace import Workspace


class WorkerRuntime(Runtime):
    """Runs a step while it is started, so its result is there at the first look."""

    @override
    def start(self, workspace: Workspace, step: str, ranges: str) -> Started:
        return Started(run_step(workspace, step, ranges))

    @override
    def look(self, started: Started) -> StepResult:
        return started.reference
