"""Steps in the Airflow worker itself: the runtime of every step unless it is declared otherwise."""

from __future__ import annotations

from sluice.compute.contract import Runtime, Started, StepResult
from sluice.steps.runner import run_step
from sluice.workspace import Workspace


class WorkerRuntime(Runtime):
    """Runs a step while it is started, so its result is there at the first look."""

    def start(self, workspace: Workspace, step: str, ranges: str) -> Started:
        return Started(run_step(workspace, step, ranges))

    def look(self, started: Started) -> StepResult:
        return started.reference
