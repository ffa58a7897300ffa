"""SIGKILL at every boundary of landing real flights: nothing is lost or counts twice, order stays (P1 to P3)."""

from __future__ import annotations

import random
import subprocess
from datetime import date

import pytest
from tests.chaos.conftest import Flights, MakeTrial
from tests.chaos.faults import Delay, Rule
from tests.chaos.killing import CLOSING, DRAINING, KILLED, KillAt, Start
from tests.chaos.proxy import Proxy
from tests.chaos.seeds import seeded
from tests.pipelines.flights.flight_days import events_from

from localcloud.testing.waiting import wait_for
from sluice.lake.look import Look

DAY = date(2013, 1, 2)


@pytest.mark.slow
def test_drain_killed_at_every_boundary_loses_nothing(trial: MakeTrial, flights: Flights, kill: KillAt) -> None:
    here = trial(visibility_seconds=3)
    here.send(flights(900))
    # Each later in its drain than the one before, so that every kill happens in another state of queue and lake.
    for nth, moment in enumerate(DRAINING, 1):
        assert kill(here, moment, nth) == KILLED, moment

    counts = here.finish()

    assert counts.conformed == 900
    assert counts.raw > 900, "what was recorded and not deleted was redelivered"


@pytest.mark.slow
def test_closing_killed_before_and_after_it_commits_is_finished_by_the_next_one(trial: MakeTrial, kill: KillAt) -> None:
    here = trial()
    here.send([event for place, event in enumerate(events_from(DAY, 4)) if place % 20 == 0])
    here.drain()
    for nth, moment in enumerate(CLOSING, 1):
        assert kill(here, moment, nth, work="close") == KILLED

    counts = here.conclude()

    assert counts.raw == counts.conformed == len(here.sent)
    lake = here.lake()
    assert [manifest.revision for manifest in Look(lake).manifests("raw/events")] == [1, 1, 1, 1], "closed once"


@pytest.mark.chaos
@pytest.mark.parametrize("calls", ["s3:PutObject */part-*", "s3:PutObject *_manifest.json", "sqs:DeleteMessageBatch *"])
def test_call_under_way_when_its_sender_is_killed_arrives_late(
    trial: MakeTrial, flights: Flights, start: Start, calls: str
) -> None:
    """A call that the network delays happens when its sender is dead and the next drain is at work."""
    here = trial(visibility_seconds=2)
    here.send(flights(900))
    with Proxy(here.cloud.endpoint_url, 0, Rule(calls, Delay(6), after=1, times=2)) as proxy:
        process = start(here, proxy=proxy)
        wait_for(lambda: proxy.injected, what="the call")
        process.kill()
        assert process.wait(60) == KILLED

        wait_for(lambda: here.drain().empty, what="the queue to be empty")
        wait_for(lambda: proxy.at_rest, what="the late call")

    assert here.finish().conformed == 900


@pytest.mark.chaos
@seeded(3)
def test_drains_killed_at_random_lose_nothing(trial: MakeTrial, start: Start, kill: KillAt, seed: int) -> None:
    """The day in full, 12 kills: at a random call, or after a random while."""
    chance = random.Random(seed)
    here = trial(visibility_seconds=10)
    here.send(events_from(DAY, 1))
    for _ in range(12):
        moment, nth, seconds = chance.choice([*DRAINING, None, None]), chance.randint(1, 25), chance.uniform(0, 1.5)
        ended = kill(here, moment, nth) if moment else _kill_after(start(here), seconds)
        assert ended in (KILLED, 0)  # 0: it had drained all before its moment came

    here.finish()


@pytest.mark.chaos
def test_two_drains_on_one_queue_lose_nothing_when_one_is_killed(trial: MakeTrial, start: Start, kill: KillAt) -> None:
    here = trial(visibility_seconds=10)
    here.send(events_from(DAY, 1))
    for nth, moment in enumerate(DRAINING, 2):
        beside = start(here)
        assert kill(here, moment, nth) in (KILLED, 0)
        _kill_after(beside, 0)

    here.finish()


@pytest.mark.chaos
def test_eight_drains_on_one_queue_land_each_message_once(trial: MakeTrial, start: Start) -> None:
    """No drain fails, so each message is landed once, by one of them."""
    here = trial()
    here.send(events_from(DAY, 2))
    lanes = [start(here) for _ in range(8)]
    assert [lane.wait(120) for lane in lanes] == [0] * 8

    assert here.finish().raw == len(here.sent)


def _kill_after(process: subprocess.Popen[str], seconds: float) -> int:
    """Kill work so many seconds after it has begun; return its exit status."""
    assert process.stdout is not None
    process.stdout.readline()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait(60)
