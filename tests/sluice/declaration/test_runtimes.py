"""A runtime that AWS does not have is refused when it is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.sluice.toy import TOY

from sluice.declaration import Auto, Conform, Fargate, Input, Lambda, Network, Pipeline, Step, Worker
from sluice.declaration.runtimes import FARGATE_MEMORY_GB, Runtime
from sluice.errors import DeclarationError

NETWORK = Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",))


def declared(runtime: Runtime, network: Network | None = None) -> Pipeline:
    conform, doubled, running = TOY.steps
    return replace(TOY, steps=(conform, replace(doubled, runtime=runtime), running), network=network)


def test_step_runs_in_the_worker_unless_it_says_otherwise() -> None:
    assert [step.runtime for step in TOY.steps] == [Worker(), Worker(), Worker()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lambda(memory_mb=127), "memory_mb=127 must be a whole number from 128 to 10,240"),
        (lambda: Lambda(memory_mb=10_241), "memory_mb=10241 must be a whole number from 128 to 10,240"),
        (lambda: Lambda(memory_mb=512.0), "memory_mb=512.0 must be a whole number"),  # type: ignore[arg-type]
        (lambda: Lambda(disk_mb=511), "disk_mb=511 must be a whole number from 512 to 10,240"),
        (lambda: Lambda(seconds=901), "seconds=901 must be a whole number from 10 to 900"),
        (lambda: Lambda(concurrency=21), "concurrency=21 must be a whole number from 1 to 20"),
        (lambda: Lambda(concurrency=0), "concurrency=0 must be a whole number from 1 to 20"),
        (lambda: Lambda(package="tar"), "package='tar' is not known; use 'image' or 'zip'"),  # type: ignore[arg-type]
        (lambda: Fargate(vcpu=3), "vcpu=3 is no size of Fargate; use one of 0.25, 0.5, 1, 2, 4, 8, 16"),
        (lambda: Fargate(vcpu=1, memory_gb=9), "1 vCPU can't have memory_gb=9; use one of 2, 3, 4, 5, 6, 7, 8"),
        (lambda: Fargate(vcpu=16, memory_gb=128), "16 vCPU can't have memory_gb=128; use one of 32, .*, 120"),
        (lambda: Fargate(longest=timedelta(days=8)), "longest=.* must be a timedelta from 60 seconds to 168 hours"),
        (lambda: Auto(expansion=0.5), "expansion=0.5 must be a number from 1 to 1000"),
        (lambda: Auto(small=Fargate()), "small is a Lambda and large a Fargate"),  # type: ignore[arg-type]
        (lambda: Step("a", run="b:c", reads=(Input("d"),), runtime="Lambda"), r"write it as runtime=Lambda\(\)"),  # type: ignore[arg-type]
        (lambda: Conform("a", "b", "c:d", runtime=Lambda), r"write it as runtime=Lambda\(\)"),  # type: ignore[arg-type]
    ],
)
def test_what_aws_does_not_have_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()


@pytest.mark.parametrize("runtime", [Fargate(), Auto()])
def test_fargate_needs_a_network(runtime: Runtime) -> None:
    with pytest.raises(DeclarationError, match=r"step 'doubled' may run on Fargate, which needs a network; declare"):
        declared(runtime)
    assert declared(runtime, NETWORK).network == NETWORK


def test_lambda_needs_none() -> None:
    assert declared(Lambda()).network is None


def test_concurrency_is_ten_by_default() -> None:
    assert Lambda().concurrency == 10


def test_every_size_of_fargate_is_accepted() -> None:
    sizes = [(vcpu, memory) for vcpu, choices in FARGATE_MEMORY_GB.items() for memory in choices]

    assert len({Fargate(vcpu, memory) for vcpu, memory in sizes}) == 74
    assert max(memory for _, memory in sizes) == 120


def test_runtime_is_no_part_of_a_steps_fingerprint() -> None:
    doubled = TOY.steps[1]

    assert repr(replace(doubled, runtime=Auto())) == repr(doubled)
