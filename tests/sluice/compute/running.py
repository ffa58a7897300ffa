"""Runs the step of a pipeline where it is declared to run, and waits for the result."""

from __future__ import annotations

from collections.abc import Sequence

from tests.calendars import utc

from localcloud.testing.waiting import wait_for
from sluice.compute.contract import Runtime, Started, StepResult, runtime_of
from sluice.declaration import runtimes as declared
from sluice.lake.manifests import Manifest
from sluice.workspace import Workspace

STEP = "doubled"
DAY = "dt=2013-01-01"


def runtime(workspace: Workspace, step: str = STEP) -> Runtime[declared.Runtime]:
    return runtime_of(workspace, workspace.pipeline.step(step))


def start(workspace: Workspace, ranges: str = DAY, step: str = STEP) -> Started:
    return runtime(workspace, step).start(ranges)


def result(workspace: Workspace, started: Started, step: str = STEP) -> StepResult:
    """Return the result of what was started, once it is there."""
    if started.result is not None:
        return started.result
    found: list[StepResult] = []

    def look() -> bool:
        seen = runtime(workspace, step).look(started.reference)
        found.extend([] if seen is None else [seen])
        return seen is not None

    wait_for(look, what=started.what)
    return found[0]


def run(workspace: Workspace, ranges: str = DAY, step: str = STEP) -> StepResult:
    return result(workspace, start(workspace, ranges, step), step)


def made(workspace: Workspace, day: str = DAY, step: str = STEP) -> Manifest:
    manifest = workspace.lake.manifest(step, utc(day))
    assert manifest is not None
    return manifest


def records(workspace: Workspace) -> Sequence[str]:
    """Return the names of the records of all attempts."""
    folder = workspace.lake.layout.computed(STEP, "", "").removesuffix("/")
    return [key.rpartition("/")[2] for key, _, _ in workspace.lake.objects(folder)]
