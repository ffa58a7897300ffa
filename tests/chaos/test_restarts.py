"""The cloud goes away in the middle of a drain, and comes back with what it held."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.chaos.conftest import Flights, MakeTrial
from tests.chaos.trial import TROUBLE, is_one_line
from tests.conftest import CLOUD_PYTHON, free_ports
from tests.waiting import wait_for

from localcloud.testing.clouds import LocalCloud
from sluice.landing.parts import Limits

pytestmark = pytest.mark.chaos


@pytest.fixture
def localcloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """An embedded cloud of the test's own, down at its end."""
    cloud = LocalCloud(tmp_path / "state", *free_ports(2), CLOUD_PYTHON)
    yield cloud
    cloud.command("down")


def test_the_cloud_restarted_in_the_middle(trial: MakeTrial, flights: Flights, localcloud: LocalCloud) -> None:
    """Twice, while two drains are at work: what fails is one line, and they go on where they were."""
    here = trial(at=localcloud.up(), visibility_seconds=5)
    flushed, gave_up, over, said = threading.Semaphore(0), threading.Event(), threading.Event(), list[Exception]()

    def drain_until_empty() -> None:
        def empty() -> bool:
            try:
                drained = here.drain(limits=Limits(messages=60), on_flush=lambda _: flushed.release())
                return drained.empty and over.is_set()
            except TROUBLE as error:
                said.append(error)
                gave_up.set()
                return False

        wait_for(empty, seconds=200, what="a drain that leaves the queue empty")

    with ThreadPoolExecutor(2) as drains:
        running = [drains.submit(drain_until_empty) for _ in range(2)]
        for _ in range(2):
            here.send(flights(2000)[len(here.sent) :][:1000])
            assert all(flushed.acquire(timeout=60) for _ in range(3))
            assert localcloud.command("down").returncode == 0
            gave_up.clear()
            assert gave_up.wait(60), "a drain outlasts the cloud"
            localcloud.up()
        over.set()
        for each in running:
            each.result(timeout=240)

    assert here.finish().conformed == 2000
    assert all(map(is_one_line, said))
