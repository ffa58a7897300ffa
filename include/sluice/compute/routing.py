"""Chooses where a run of a step goes, by what was measured. Pure: values in, a choice out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sluice.declaration.runtimes import FARGATE_MEMORY_GB, Auto, Fargate, Lambda
from sluice.errors import SluiceError
from sluice.lake.manifests import Run

_MB = 1024 * 1024
# What Python with pandas and pyarrow needs before it has read anything.
_BASE_MB = 300
# How fast a step is before anything was measured.
_BYTES_PER_SECOND = 1 * _MB
# What a partition takes however small it is: its reads, its write, its commit.
_SECONDS_PER_PARTITION = 1.0
# A prediction is no promise: Lambda gets a run only if it needs at most this share of each limit.
_SHARE = 0.5
_LARGEST_MB = int(max(FARGATE_MEMORY_GB[16]) * 1024)


@dataclass(frozen=True)
class Load:
    """What a run has to read.

    Attributes:
        sizes: The bytes of the inputs of each partition.
        at_once: The most bytes that it has to hold at one time.
    """

    sizes: Sequence[int]
    at_once: int


@dataclass(frozen=True)
class Need:
    """What a run is expected to need.

    Attributes:
        memory_mb: Resident memory, in MiB.
        seconds: Time, in seconds.
        disk_mb: Disk, in MiB: a step may write what it has read to ``/tmp``.
        basis: How it was predicted, in words.
    """

    memory_mb: int
    seconds: float
    disk_mb: int
    basis: str


@dataclass(frozen=True)
class Choice:
    """Where a run goes: the runtime with its size, and why."""

    runtime: Lambda | Fargate
    reason: str


def predict(load: Load, history: Sequence[Run], expansion: float) -> Need:
    """Predict what a run needs.

    Memory and time are those of the measured run that is nearest in size. What the new run reads beyond it needs
    ``expansion`` bytes of memory a byte, and time in proportion.

    Args:
        load: What it has to read.
        history: Measured runs of the same step; none before the first.
        expansion: How many bytes of memory a byte of input needs, as declared.
    """
    memory = _BASE_MB + load.at_once * expansion / _MB
    basis = f"{load.at_once / _MB:.1f} MB of inputs at once, {expansion:g} times as much in memory"
    if history:
        near = min(history, key=lambda run: (abs(run.bytes_at_once - load.at_once), -run.peak_mb))
        beyond = max(0, load.at_once - near.bytes_at_once)
        memory = near.peak_mb + beyond * expansion / _MB
        basis = f"a measured run over {near.bytes_at_once / _MB:.1f} MB took {near.peak_mb} MB"
    seconds = sum(_seconds(size, history) for size in load.sizes)
    return Need(round(memory), round(seconds, 1), max(load.sizes, default=0) // _MB, basis)


def _seconds(size: int, history: Sequence[Run]) -> float:
    """Return how long a partition is expected to take."""
    if not history:
        return _SECONDS_PER_PARTITION + size / _BYTES_PER_SECOND
    near = min(history, key=lambda run: (abs(run.bytes - size), -run.seconds))
    return near.seconds * max(1.0, size / near.bytes if near.bytes else 1.0)


def choose(need: Need, declared: Auto) -> Choice:
    """Choose Lambda while the prediction stays within half of each of its limits, else the smallest Fargate.

    Args:
        need: What the run is expected to need.
        declared: The runtimes to choose from.

    Raises:
        SluiceError: not even the largest size of Fargate holds it, or it takes longer than is declared.
    """
    small = declared.small
    over = [
        f"{value:,.0f} {unit} of {what} is more than half of {limit:,}"
        for what, value, limit, unit in (
            ("memory", need.memory_mb, small.memory_mb, "MB"),
            ("time", need.seconds, small.seconds, "s"),
            ("disk", need.disk_mb, small.disk_mb, "MB"),
        )
        if value > limit * _SHARE
    ]
    if not over:
        fits = f"{need.memory_mb:,} MB and {need.seconds:,.0f} s are predicted, within half of its limits"
        return Choice(small, f"{fits} ({need.basis})")
    return Choice(_smallest(need, declared.large), f"{over[0]} on Lambda ({need.basis})")


def moved_up(failed_mb: int, need: Need, declared: Auto, why: str) -> Choice:
    """Choose the next larger runtime, after a run has failed on memory or time.

    Args:
        failed_mb: The memory of the largest runtime on which it has failed, in MiB.
        need: What it was expected to need.
        declared: The runtimes to choose from.
        why: What it has failed on, in words.

    Raises:
        SluiceError: there is nothing larger.
    """
    size = _smallest(replace(need, memory_mb=max(need.memory_mb, failed_mb + 1)), declared.large)
    return Choice(size, f"moved up: {why}")


def _smallest(need: Need, least: Fargate) -> Fargate:
    """Return the smallest size of Fargate that holds a run, and is not smaller than ``least``."""
    for vcpu, memory_gb in sorted(_sizes(), key=lambda size: (size[1], size[0])):
        if vcpu >= least.vcpu and memory_gb >= least.memory_gb and memory_gb * 1024 >= need.memory_mb:
            if need.seconds > least.longest.total_seconds():
                raise SluiceError(
                    f"{need.seconds:,.0f} s are predicted ({need.basis}), and Fargate(longest=…) allows "
                    f"{least.longest}; transform fewer partitions in one run, or declare a longer one"
                )
            return replace(least, vcpu=vcpu, memory_gb=memory_gb)
    raise SluiceError(
        f"{need.memory_mb:,} MB of memory are needed ({need.basis}), and the largest size of Fargate has "
        f"{_LARGEST_MB:,} MB; declare shorter partitions (every='hour'), or make the step hold less at once"
    )


def _sizes() -> list[tuple[float, float]]:
    return [(vcpu, memory) for vcpu, choices in FARGATE_MEMORY_GB.items() for memory in choices]
