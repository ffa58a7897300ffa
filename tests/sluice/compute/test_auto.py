"""A run goes to Lambda while it fits, and moves up once if it did not."""

from __future__ import annotations

import pytest
from tests.sluice.compute.conftest import DOUBLED, Elsewhere
from tests.sluice.compute.running import DAY, made, records, result, run, runtime, start

from sluice.compute.contract import Started
from sluice.errors import StepOutgrown
from sluice.workspace import Workspace

pytestmark = pytest.mark.slow

SMALL = "Auto(small=Lambda(memory_mb=1024), large=Fargate(vcpu=0.25, memory_gb=0.5))"
# One byte of input needs so much memory that Lambda never fits, as far as nothing was measured.
HUNGRY = "Auto(small=Lambda(memory_mb=512), large=Fargate(vcpu=0.25, memory_gb=0.5), expansion=1000)"
HOLDS = """
import time

def doubled(conform):
    held = bytearray({megabytes} * 1024 * 1024)
    time.sleep(0.5 if {megabytes} < 2000 else 60)
    return conform.assign(value=conform["value"] * 2 + len(held) * 0)
"""


def outgrown(workspace: Workspace, started: Started) -> StepOutgrown:
    with pytest.raises(StepOutgrown) as error:
        result(workspace, started)
    return error.value


def test_first_run_goes_by_its_bytes(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(SMALL)

    ran = run(workspace)

    assert ran["ran"].startswith("on Lambda with 1,024 MB: ")
    measured = made(workspace).run
    assert measured is not None
    assert measured.reason.startswith(
        "300 MB and 1 s are predicted, within half of its limits (0.0 MB of inputs at once"
    )


def test_partitions_that_are_held_back_start_nothing(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(SMALL)

    started = start(workspace, "dt=2013-01-08..dt=2013-01-09")  # no event of these days has come

    assert started.result is not None
    assert (started.result["partitions"], started.result["held_back"]) == ("", 2)
    assert records(workspace) == []


def test_next_run_goes_by_what_was_measured(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(SMALL, days=2)
    run(workspace)
    first = made(workspace).run
    assert first is not None

    run(workspace, "dt=2013-01-02")

    second = made(workspace, "dt=2013-01-02").run
    assert second is not None
    assert f"a measured run over 0.0 MB took {first.peak_mb} MB" in second.reason


def test_what_does_not_fit_half_of_lambda_goes_to_fargate(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(HUNGRY)

    ran = run(workspace)

    assert ran["ran"].startswith("on Fargate with 0.25 vCPU and 512 MB: ")
    measured = made(workspace).run
    assert measured is not None
    assert "MB of memory is more than half of 512 on Lambda" in measured.reason


def test_run_that_needs_more_memory_moves_up_once_and_says_so(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(SMALL, HOLDS.format(megabytes=1000))
    started = start(workspace)
    error = outgrown(workspace, started)
    assert "on Lambda with 1,024 MB needs more memory than it has" in str(error)

    larger = runtime(workspace).start_larger(DAY, started.reference, error)

    assert "(moved up: memory was short on Lambda with 1,024 MB)" in larger.what
    assert result(workspace, larger)["ran"].startswith("on Fargate with 0.25 vCPU and 2,048 MB: ")
    measured = made(workspace).run
    assert measured is not None
    assert measured.reason == "moved up: memory was short on Lambda with 1,024 MB"
    assert records(workspace) == ["1-claim.json", "1-result.json", "2-claim.json", "2-result.json"]


def test_run_does_not_move_up_twice_by_itself(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(SMALL, HOLDS.format(megabytes=3000))
    started = start(workspace)
    larger = runtime(workspace).start_larger(DAY, started.reference, outgrown(workspace, started))
    error = outgrown(workspace, larger)

    with pytest.raises(StepOutgrown) as given_up:
        runtime(workspace).start_larger(DAY, larger.reference, error)

    assert given_up.value is error
    by_hand = start(workspace)
    assert "(moved up: memory was short on Fargate with 0.25 vCPU and 2,048 MB)" in by_hand.what
    assert by_hand.reference["size"] == {"kind": "Fargate", "memory_mb": 3072, "vcpu": 0.5}
    runtime(workspace).cancel(by_hand.reference)


def test_other_runtimes_do_not_move_up(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make("Lambda(memory_mb=512)", HOLDS.format(megabytes=1000))
    started = start(workspace)
    error = outgrown(workspace, started)

    with pytest.raises(StepOutgrown):
        runtime(workspace).start_larger(DAY, started.reference, error)


def test_second_start_follows_the_claim_wherever_it_runs(elsewhere: Elsewhere) -> None:
    workspace = elsewhere.make(HUNGRY, DOUBLED)
    started = start(workspace)
    result(workspace, started)
    assert started.reference["size"]["kind"] == "Fargate"
    assert runtime(workspace).look(started.reference) == result(workspace, started)
