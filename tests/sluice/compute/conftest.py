"""Pipelines whose steps run elsewhere, in the embedded cloud."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import STEP_IMAGE
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import CONTRACT, EVENTS, message, reading

import pipelines
from sluice.aws.clients import Aws
from sluice.compute.artefacts import Artefacts
from sluice.declaration.loading import load_pipeline
from sluice.provisioning.provision import provision
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

_PIPELINE = """
from datetime import UTC, datetime, timedelta

from sluice.declaration import Auto, Conform, Fargate, FifoQueue, Input, Lambda, Network, Pipeline, Step, Worker

PIPELINE = Pipeline(
    name={name!r},
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contract:Reading", runtime={conform}),
        Step("doubled", run="steps:doubled", reads=(Input("conform"),), runtime={runtime}),
    ),
    network=Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",)),
)
"""
DOUBLED = """
def doubled(conform):
    return conform.assign(value=conform["value"] * 2)
"""


@dataclass(frozen=True)
class Elsewhere:
    """A pipeline of a test's own. Its folder is in the image of steps, and found by this process.

    It has a queue of readings, and the steps ``conform`` and ``doubled``, where a test wants them.
    """

    name: str
    folder: Path
    aws: Aws

    def declare(self, runtime: str, doubled: str = DOUBLED, conform: str = "Worker()") -> None:
        """Write the pipeline's folder: the runtimes of the steps, and the source of ``doubled``."""
        self.folder.mkdir(exist_ok=True)
        modules = {"__init__": "", "contract": CONTRACT, "steps": doubled}
        modules["pipeline"] = _PIPELINE.format(name=self.name, runtime=runtime, conform=conform)
        for module, source in modules.items():
            (self.folder / f"{module}.py").write_text(source)
        self.forget()

    def forget(self) -> None:
        for module in [each for each in sys.modules if each.startswith(f"pipelines.{self.name}")]:
            del sys.modules[module]

    def provision(self, image: str = STEP_IMAGE) -> Workspace:
        """Provision what is declared."""
        provision(self.aws, load_pipeline(self.name), Artefacts(image))
        return Workspace.open(self.aws, self.name)

    def workspace(self) -> Workspace:
        """Return the workspace of what is declared, without provisioning it."""
        return Workspace.open(self.aws, self.name)

    def make(self, runtime: str, doubled: str = DOUBLED, days: int = 1, image: str = STEP_IMAGE) -> Workspace:
        """Declare and provision the pipeline, and conform some days of readings."""
        self.declare(runtime, doubled)
        workspace = self.provision(image)
        for day in range(1, days + 1):
            put_readings(workspace, day, day)
        run_step(workspace, "conform", f"dt=2013-01-01..dt=2013-01-{days:02d}")
        return workspace


def put_readings(workspace: Workspace, day: int, *values: int) -> None:
    """Put a closed raw day with one reading for each value."""
    key = f"2013-01-{day:02d}"
    events: list[dict[str, Any]] = [
        message(reading(f"r-{key}-{n}", f"{key}T{n:02d}:00:00+00:00", value), n + 1) for n, value in enumerate(values)
    ]
    put_raw(workspace.lake, EVENTS, key, events)


@pytest.fixture
def elsewhere(
    aws: Aws, image_pipelines: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Elsewhere]:
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(image_pipelines)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two changes within a second have the same time stamp
    name = f"p{zlib.crc32(request.node.nodeid.encode()):08x}"
    found = Elsewhere(name, image_pipelines / name, aws)
    yield found
    found.forget()
