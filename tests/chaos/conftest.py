"""Trials of the flights pipeline, in the embedded cloud."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.faults import Rule
from tests.chaos.killing import MOMENTS, KillAt, Start, Worked, begin
from tests.chaos.proxy import Proxy
from tests.chaos.trial import Trial
from tests.conftest import CLOUD_PYTHON, Cloud, free_ports
from tests.pipelines.flights.flight_days import events_from
from tests.sluice.compute.conftest import elsewhere
from tests.sluice.conftest import aws

from localcloud.testing.clouds import LocalCloud
from sluice.declaration.loading import load_pipeline
from sluice.sending.lanes import Event

__all__ = ["aws", "elsewhere"]  # fixtures that are used here, too

MakeTrial = Callable[..., Trial]
Flights = Callable[[int], list[Event]]
_FIRST = date(2013, 1, 2)


@pytest.fixture
def localcloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """An embedded cloud of the test's own, not started yet; it is stopped in the end."""
    cloud = LocalCloud(tmp_path / "state", *free_ports(2), CLOUD_PYTHON)
    yield cloud
    cloud.command("down")


@pytest.fixture
def trial(cloud: Cloud, own_name: str) -> MakeTrial:
    """Makes the test's trial: of the flights pipeline, unless another one is given."""

    def make(pipeline: Any = None, *, at: Cloud = cloud, **settings: Any) -> Trial:
        return Trial(at, own_name, pipeline or load_pipeline("flights"), **settings)

    return make


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts work in a process of its own; none of it outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def run(trial: Worked, work: str = "drain", proxy: Proxy | None = None) -> subprocess.Popen[str]:
        started.append(begin(trial, work, proxy))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture
def kill(start: Start) -> KillAt:
    """Runs work until it is killed at the nth time of a moment; returns its exit status."""

    def run(trial: Worked, moment: str, nth: int, work: str = "drain") -> int:
        calls, fault = MOMENTS[work][moment]
        with Proxy(trial.cloud.endpoint_url, 0, Rule(calls, fault, after=nth - 1, times=1)) as proxy:
            return start(trial, work, proxy).wait(120)

    return run


@pytest.fixture(scope="session")
def flights() -> Flights:
    """So many events of the busiest aircraft over two days (two partitions), in the order in which they are sent."""

    def of_the_busiest(count: int) -> list[Event]:
        events = events_from(_FIRST, 2)
        chosen: set[str] = set()
        left = count
        for group, size in Counter(event.group for event in events).most_common():
            if left <= 0:
                break
            chosen.add(group)
            left -= size
        return [event for event in events if event.group in chosen][:count]

    return of_the_busiest
