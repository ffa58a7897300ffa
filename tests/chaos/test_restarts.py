"""The cloud stops in the middle of a drain, and restarts with what it held."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.chaos.conftest import Flights, MakeTrial
from tests.chaos.trial import TROUBLE, is_one_line

from localcloud.testing.clouds import LocalCloud
from localcloud.testing.waiting import wait_for
from sluice.landing.parts import Limits

pytestmark = pytest.mark.chaos


def test_drains_continue_after_the_cloud_restarts(trial: MakeTrial, flights: Flights, localcloud: LocalCloud) -> None:
    """Twice, while two drains are at work: what fails is one line, and they continue where they were."""
    here = trial(at=localcloud.up(), visibility_seconds=5)
    flushed, gave_up, over, errors = threading.Semaphore(0), threading.Event(), threading.Event(), list[Exception]()

    def drain_until_empty() -> None:
        def empty() -> bool:
            try:
                drained = here.drain(limits=Limits(messages=60), on_flush=lambda _: flushed.release())
                return drained.empty and over.is_set()
            except TROUBLE as error:
                errors.append(error)
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
    assert all(map(is_one_line, errors))
