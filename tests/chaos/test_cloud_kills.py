"""SIGKILL of the emulator while a pipeline is provisioned, fed and drained: nothing is lost, doubled or reordered."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.chaos.conftest import Flights
from tests.chaos.seeds import seeded
from tests.chaos.trial import TROUBLE, Trial

from localcloud.testing.clouds import LocalCloud
from sluice.declaration.loading import load_pipeline
from sluice.provisioning.provision import provision

_LONGEST_WORK = 1.0  # seconds between a start and the next kill


@pytest.mark.parametrize(
    ("kills", "events"),
    [pytest.param(2, 300, id="2", marks=pytest.mark.slow), pytest.param(50, 3_000, id="50", marks=pytest.mark.chaos)],
)
@seeded(1)
def test_pipeline_survives_repeated_kills_of_the_emulator(
    localcloud: LocalCloud, flights: Flights, kills: int, events: int, seed: int
) -> None:
    chance = random.Random(seed)
    trial = Trial(localcloud.up(), "trial", load_pipeline("flights"), visibility_seconds=2)
    over = threading.Event()

    def work() -> None:
        every, sent = flights(events), 0
        while not over.is_set():
            if sent < events:
                size = chance.randint(1, 60)
                trial.send(every[sent : sent + size])
                sent += size
            attempt(trial.drain)
            attempt(lambda: provision(trial, load_pipeline("flights")))
        trial.send(every[sent:])

    with ThreadPoolExecutor(1) as beside:
        working = beside.submit(work)
        try:
            for _ in range(kills):
                time.sleep(chance.uniform(0, _LONGEST_WORK))
                localcloud.processes()["emulator"].kill()
                localcloud.up()
        finally:
            over.set()
        working.result(300)

    assert trial.finish().conformed == events
    provision(trial, load_pipeline("flights"))


def attempt(do: Callable[[], Any]) -> None:
    """Try it; a foreseen error is ignored."""
    with contextlib.suppress(*TROUBLE):
        do()
