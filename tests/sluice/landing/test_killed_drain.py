"""SIGKILL at every boundary of a drain of real flights: nothing is lost or counts twice, order stays (P1 to P3)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.landing import killed_drain, lake_audit
from tests.waiting import wait_for

from pipelines.flights import data
from pipelines.flights.events import events_of_days
from sluice.lake import Lake
from sluice.landing.closing import close_source
from sluice.landing.queue import backlog, drain
from sluice.landing.send import Event, send
from sluice.pipeline import load_pipeline
from sluice.steps.runner import run_step

ROOT = Path(__file__).resolve().parents[3]
DAY = date(2013, 1, 2)


class Killing:
    """A queue of flight events, drains of it that die, and the lake that they leave."""

    def __init__(self, cloud: Cloud, name: str, events: list[Event], visibility_seconds: int = 10) -> None:
        self.cloud, self.events = cloud, events
        self.sqs, s3 = cloud.client("sqs"), cloud.client("s3")
        s3.create_bucket(Bucket=name)
        self.lake = Lake(s3, name, "flights")
        # Short, so that what a dead drain held comes back soon; long enough for a small flush on a busy machine.
        attributes = {"FifoQueue": "true", "VisibilityTimeout": str(visibility_seconds)}
        self.queue = self.sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
        send(self.sqs, self.queue, events)

    def start(self, moment: str, nth: int = 1) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, killed_drain.__file__, self.queue, self.lake.bucket, moment, str(nth)],
            env={**os.environ, **self.cloud.environment, "PYTHONPATH": str(ROOT / "include")},
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> lake_audit.Found:
        """A drain that lives, closing and conforming; what the lake holds then."""
        self.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"VisibilityTimeout": "120"})
        wait_for(self.drained, what="the queue to be empty")
        pipeline = load_pipeline("flights")
        ranges = close_source(self.lake, pipeline.queues[0], drained_empty=True)
        run_step(self.lake, pipeline, "conform", ranges)
        found = lake_audit.read_lake(self.lake.s3, self.lake.bucket, "flights", "events")
        lake_audit.check(found, [lake_audit.Sent(event.id, event.group, event.body) for event in self.events])
        return found

    def drained(self) -> bool:
        drain(self.sqs, self.queue, self.lake, load_pipeline("flights").queues[0], "day")
        return backlog(self.sqs, self.queue) == 0


@pytest.fixture(scope="module")
def flights() -> list[Event]:
    """Every event of a day, in the order in which they are sent."""
    return list(events_of_days(data.flights(), [DAY])[DAY])


def test_a_drain_killed_at_every_boundary_loses_nothing(cloud: Cloud, flights: list[Event], own_name: str) -> None:
    killing = Killing(cloud, own_name, flights[:900], visibility_seconds=4)
    # Each later in its drain than the one before, so that every kill meets another state of queue and lake.
    for nth, moment in enumerate(killed_drain.MOMENTS, 1):
        assert killing.start(moment, nth).wait(60) == -signal.SIGKILL, moment

    found = killing.finish()

    assert len(found.raw) > len(killing.events), "what was put and not deleted has come again"


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(3))
def test_drains_killed_at_random_lose_nothing(cloud: Cloud, flights: list[Event], own_name: str, seed: int) -> None:
    """The day in full, 12 kills: at a random moment from within, or from outside after a random while."""
    chance = random.Random(seed)
    killing = Killing(cloud, f"{own_name}-{seed}"[-60:].strip("-"), flights)
    for _ in range(12):
        moment = chance.choice([*killed_drain.MOMENTS, "never", "never"])
        process = killing.start(moment, chance.randint(1, 25))
        if moment == "never":
            _kill_after(process, chance.uniform(0, 1.5))
        assert process.wait(60) in (-signal.SIGKILL, 0)  # 0: it had drained all before its moment came

    killing.finish()


@pytest.mark.chaos
def test_two_drains_on_one_queue_of_which_one_is_killed(cloud: Cloud, flights: list[Event], own_name: str) -> None:
    killing = Killing(cloud, own_name, flights)
    for nth, moment in enumerate(killed_drain.MOMENTS, 2):
        beside = killing.start("never")
        assert killing.start(moment, nth).wait(60) in (-signal.SIGKILL, 0)
        _kill_after(beside, 0)
        beside.wait(60)

    killing.finish()


def _kill_after(process: Any, seconds: float) -> None:
    """Seconds after it has begun to drain."""
    process.stdout.readline()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
