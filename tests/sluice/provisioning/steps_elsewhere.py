"""Pipelines with steps on every runtime, whose training Step Functions runs; and what such a step is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from tests.sluice.provisioning.shapes import KEY
from tests.sluice.toy import CONTRACT, TOY

import pipelines
from sluice.compute.artefacts import Artefacts, StoredArchive
from sluice.declaration import Auto, Fargate, Input, Lambda, Network, Pipeline, Step, StepFunctions, Training

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sluice-step:1"
ARTEFACTS = Artefacts(
    IMAGE, StoredArchive("artefacts", "elsewhere-1.zip"), StoredArchive("artefacts", "libraries-1.zip")
)
NETWORK = Network(("subnet-0a1b2c3d", "subnet-0a1b2c3e"), ("sg-0a1b2c3d",))
TAGS = {"team": "freight", "cost-centre": "47 11"}
STEPS = """
def doubled(conform):
    return conform

def running(doubled, doubled_before):
    return doubled

def summed(running):
    return running
"""


def _training() -> Training:
    assert TOY.training is not None
    return replace(TOY.training, orchestrator=StepFunctions(schedule="rate(7 days)"))


def pipeline(name: str) -> Pipeline:
    """Return a pipeline with a step on each runtime. Fargate needs a network."""
    return replace(
        TOY,
        name=name,
        network=NETWORK,
        training=_training(),
        steps=(
            replace(TOY.steps[0], runtime=Lambda()),
            replace(TOY.steps[1], runtime=Lambda(memory_mb=512, seconds=60, concurrency=3, package="zip")),
            replace(TOY.steps[2], runtime=Fargate(vcpu=0.5, memory_gb=2, spot=True)),
            Step("summed", run="steps:summed", reads=(Input("running"),), runtime=Auto(Lambda(memory_mb=1024))),
        ),
    )


def guarded(name: str) -> Pipeline:
    """Return the same pipeline with a key and with tags."""
    return replace(pipeline(name), kms_key=KEY, tags=TAGS)


def without_network(name: str) -> Pipeline:
    """Return a pipeline with one step on Lambda, which needs no network."""
    return replace(
        TOY, name=name, training=_training(), steps=(replace(TOY.steps[0], runtime=Lambda()), *TOY.steps[1:])
    )


@contextmanager
def folders(parent: Path, *names: str) -> Iterator[None]:
    """Give each of these pipelines a folder with its code, which the fingerprints need."""
    for name in names:
        (parent / name).mkdir()
        for module, source in {"__init__": "", "contract": CONTRACT, "steps": STEPS, "pipeline": ""}.items():
            (parent / name / f"{module}.py").write_text(source)
    with patch.object(pipelines, "__path__", [*pipelines.__path__, str(parent)]):
        yield
    for module in [each for each in sys.modules if each.startswith(tuple(f"pipelines.{name}" for name in names))]:
        del sys.modules[module]
