"""What a step costs in time on Lambda and on Fargate over the same step in the worker, in the embedded cloud."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from tests.conftest import CLOUD_PYTHON, STEP_IMAGE, running_cloud
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import CONTRACT, EVENTS, message, reading

import pipelines
from localcloud.images import Image
from localcloud.testing.waiting import wait_for
from sluice.compute.artefacts import Artefacts
from sluice.compute.contract import runtime_of
from sluice.declaration.loading import load_pipeline
from sluice.provisioning.provision import provision
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

_ROOT = Path(__file__).resolve().parents[2]
_NAME = "bench_elsewhere"
_MODULES = {
    "__init__": "",
    "contract": CONTRACT,
    "steps": """
def doubled(conform):
    return conform.assign(value=conform["value"] * 2)
""",
    "pipeline": f"""
from datetime import UTC, datetime

from sluice.declaration import Conform, Fargate, FifoQueue, Input, Lambda, Network, Pipeline, Step, Worker

PIPELINE = Pipeline(
    name="{_NAME}",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("worker", run="steps:doubled", reads=(Input("conform"),), runtime=Worker()),
        Step("lambda", run="steps:doubled", reads=(Input("conform"),), runtime=Lambda(memory_mb=1024)),
        Step("fargate", run="steps:doubled", reads=(Input("conform"),), runtime=Fargate(vcpu=0.5, memory_gb=1)),
    ),
    network=Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",)),
)
""",
}
_ROUNDS = 9
_ROWS = 2_000


@dataclass(frozen=True)
class Bench:
    """A pipeline with the same step on each runtime. Each round has a day of its own, and the function has run once."""

    workspace: Workspace

    def seconds(self) -> dict[str, float]:
        """Return the median seconds of the step by runtime, from its start until a look finds its result.

        The runtimes take turns. Airflow's interval of looks is not part of it.
        """
        days = [f"dt=2013-01-{day:02d}" for day in range(2, _ROUNDS + 2)]
        taken: dict[str, list[float]] = {"worker": [], "lambda": [], "fargate": []}
        for day in days:
            for step, seconds in taken.items():
                begun = time.perf_counter()
                self.run(step, day)
                seconds.append(time.perf_counter() - begun)
        return {step: statistics.median(seconds) for step, seconds in taken.items()}

    def run(self, step: str, day: str) -> None:
        """Run a step over a day, and wait for its result."""
        runtime = runtime_of(self.workspace, self.workspace.pipeline.step(step))
        started = runtime.start(day)
        if started.result is None:
            wait_for(lambda: runtime.look(started.reference) is not None, what=started.what)


@contextmanager
def bench() -> Iterator[Bench]:
    """Start a cloud whose image of steps has the pipeline, and conform its days."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name) / "image/pipelines"
        own = folder / _NAME
        own.mkdir(parents=True)
        for module, source in _MODULES.items():
            (own / f"{module}.py").write_text(source)
        (folder / "__init__.py").touch()
        image = Image(_ROOT / ".venv-step/bin/python", (folder.parent, _ROOT / "include"))
        with (
            patch.object(pipelines, "__path__", [*pipelines.__path__, str(folder)]),
            running_cloud(Path(name) / "cloud", CLOUD_PYTHON, {STEP_IMAGE: image}) as cloud,
        ):
            provision(cloud, load_pipeline(_NAME), Artefacts(STEP_IMAGE))
            made = Bench(Workspace.open(cloud, _NAME))
            _fill(made.workspace)
            for step in ("worker", "lambda", "fargate"):
                made.run(step, "dt=2013-01-01")
            yield made


def _fill(workspace: Workspace) -> None:
    for day in range(1, _ROUNDS + 2):
        key = f"2013-01-{day:02d}"
        readings = [reading(f"r-{key}-{n}", f"{key}T{n % 24:02d}:00:00+00:00", n) for n in range(_ROWS)]
        put_raw(workspace.lake, EVENTS, key, [message(each, n + 1) for n, each in enumerate(readings)])
    run_step(workspace, "conform", f"dt=2013-01-01..dt=2013-01-{_ROUNDS + 1:02d}")
