"""No run goes where it would exceed a limit, and the smallest runtime that holds it gets it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.compute.routing import Choice, Load, Need, choose, moved_up, predict
from sluice.declaration.runtimes import FARGATE_MEMORY_GB, Auto, Fargate, Lambda
from sluice.errors import SluiceError
from sluice.lake.manifests import Run

MB = 1024 * 1024
AUTO = Auto(small=Lambda(memory_mb=2_048), large=Fargate(vcpu=0.25, memory_gb=0.5))
SIZES = [(vcpu, memory) for vcpu, choices in FARGATE_MEMORY_GB.items() for memory in choices]


def need(memory_mb: int = 400, seconds: float = 10, disk_mb: int = 1) -> Need:
    return Need(memory_mb, seconds, disk_mb, "a guess")


def measured(megabytes: float, peak_mb: int, seconds: float = 2.0, at_once: float | None = None) -> Run:
    return Run(
        runtime="Lambda with 2,048 MB",
        reason="declared",
        bytes=round(megabytes * MB),
        bytes_at_once=round((megabytes if at_once is None else at_once) * MB),
        seconds=seconds,
        peak_mb=peak_mb,
        dollars=0,
    )


def load(*megabytes: float) -> Load:
    sizes = [round(each * MB) for each in megabytes]
    return Load(sizes, sum(sorted(sizes, reverse=True)[:4]))


@pytest.mark.parametrize(
    "within",
    [need(), need(memory_mb=1_024), need(seconds=450), need(disk_mb=256)],
    ids=["small", "half of the memory", "half of the time", "half of the disk"],
)
def test_lambda_gets_what_stays_within_half_of_its_limits(within: Need) -> None:
    assert choose(within, AUTO).runtime == AUTO.small


@pytest.mark.parametrize(
    ("beyond", "size", "reason"),
    [
        (need(memory_mb=1_025), (0.25, 2), "1,025 MB of memory is more than half of 2,048"),
        (need(seconds=451), (0.25, 0.5), "451 s of time is more than half of 900"),
        (need(disk_mb=257), (0.25, 0.5), "257 MB of disk is more than half of 512"),
        (need(memory_mb=4_097), (1, 5), "4,097 MB of memory"),
        (need(memory_mb=122_880), (16, 120), "122,880 MB of memory"),
    ],
)
def test_fargate_of_the_smallest_size_gets_what_does_not(beyond: Need, size: tuple[float, float], reason: str) -> None:
    choice = choose(beyond, AUTO)

    assert choice.runtime == Fargate(vcpu=size[0], memory_gb=size[1])
    assert reason in choice.reason


def test_declared_size_of_fargate_is_its_smallest() -> None:
    assert choose(need(memory_mb=1_025), Auto(large=Fargate(vcpu=2, memory_gb=8))).runtime == Fargate(2, 8)


def test_nothing_holds_more_than_the_largest_fargate() -> None:
    with pytest.raises(SluiceError, match=r"122,881 MB of memory are needed \(a guess\), .* 122,880 MB"):
        choose(need(memory_mb=122_881), AUTO)


def test_longer_than_declared_is_refused() -> None:
    with pytest.raises(SluiceError, match=r"21,601 s are predicted .* declare a longer one"):
        choose(need(seconds=6 * 3600 + 1), AUTO)


@given(
    memory_mb=st.integers(1, 122_880),
    seconds=st.floats(0, 6 * 3600),
    disk_mb=st.integers(0, 20_000),
    small=st.builds(
        Lambda, memory_mb=st.integers(128, 10_240), disk_mb=st.integers(512, 10_240), seconds=st.integers(10, 900)
    ),
    large=st.sampled_from(SIZES).map(lambda size: Fargate(*size)),
)
def test_no_routed_run_exceeds_a_limit(
    memory_mb: int, seconds: float, disk_mb: int, small: Lambda, large: Fargate
) -> None:
    chosen = choose(need(memory_mb, seconds, disk_mb), Auto(small=small, large=large)).runtime

    if isinstance(chosen, Lambda):
        assert memory_mb * 2 <= small.memory_mb
        assert seconds * 2 <= small.seconds
        assert disk_mb * 2 <= small.disk_mb
    else:
        holding = [memory for vcpu, memory in SIZES if vcpu >= large.vcpu and memory >= large.memory_gb]
        assert chosen.memory_gb == min(memory for memory in holding if memory * 1024 >= memory_mb)
        assert (chosen.vcpu, chosen.memory_gb) in SIZES


def test_first_run_is_predicted_from_the_bytes_of_its_inputs() -> None:
    found = predict(load(4, 2), [], expansion=25)

    assert (found.memory_mb, found.seconds, found.disk_mb) == (300 + 6 * 25, 8.0, 4)
    assert found.basis == "6.0 MB of inputs at once, 25 times as much in memory"


def test_only_what_a_run_holds_at_one_time_counts_for_its_memory() -> None:
    assert predict(load(*[1] * 100), [], expansion=25).memory_mb == 300 + 4 * 25


def test_run_of_a_like_size_needs_what_was_measured() -> None:
    history = [measured(1, 350, 1.0), measured(10, 700, 5.0), measured(100, 4_000, 60.0)]

    found = predict(load(10), history, expansion=25)

    assert (found.memory_mb, found.seconds) == (700, 5.0)
    assert found.basis == "a measured run over 10.0 MB took 700 MB"


def test_what_is_read_beyond_a_measured_run_is_added() -> None:
    found = predict(load(40), [measured(10, 700, 5.0)], expansion=10)

    assert (found.memory_mb, found.seconds) == (700 + 30 * 10, 20.0)


def test_smaller_run_than_the_measured_one_needs_no_more() -> None:
    found = predict(load(1), [measured(10, 700, 5.0)], expansion=10)

    assert (found.memory_mb, found.seconds) == (700, 5.0)


def test_measured_run_of_nothing_predicts_another_of_nothing() -> None:
    assert predict(load(0), [measured(0, 200, 0.5)], expansion=10).seconds == 0.5


def moved(failed_mb: int, **members: Any) -> Choice:
    return moved_up(failed_mb, need(**members), AUTO, "memory was short on Lambda with 2,048 MB")


def test_failed_run_moves_up_to_the_next_larger_size() -> None:
    assert moved(2_048) == Choice(Fargate(0.5, 3), "moved up: memory was short on Lambda with 2,048 MB")
    assert moved(3 * 1024).runtime == Fargate(0.5, 4)
    assert moved(30 * 1024).runtime == Fargate(8, 32)


def test_failed_run_moves_up_to_what_it_was_expected_to_need() -> None:
    assert moved(2_048, memory_mb=9_000).runtime == Fargate(2, 9)


def test_there_is_nothing_above_the_largest_size() -> None:
    with pytest.raises(SluiceError, match="the largest size of Fargate has 122,880 MB"):
        moved(122_880)
