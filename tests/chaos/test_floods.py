"""Queues at their extremes: one group that holds all, a group for each message, and more drains than are useful."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import islice

import pytest
from tests.chaos.conftest import Flights, MakeTrial
from tests.chaos.trial import Trial
from tests.pipelines.flights.flight_days import events_from

from sluice.landing.parts import Limits

pytestmark = pytest.mark.chaos
COUNT = 10_000


def flood(here: Trial, events: Iterable[tuple[str, str, str]]) -> None:
    """Send (id, group, body) in order, ten a call: faster than a producer that handles faults."""
    left = iter(events)
    while batch := list(islice(left, 10)):
        for event_id, group, body in batch:
            here.note(event_id, group, body)
        here.sqs.send_message_batch(
            QueueUrl=here.queue,
            Entries=[
                {"Id": f"{n}", "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": event_id}
                for n, (event_id, group, body) in enumerate(batch)
            ],
        )


def grouped(count: int, group: str | None) -> Iterable[tuple[str, str, str]]:
    """Return the flights of some days with another group: one for all, or each event's own id."""
    for event in events_from(date(2013, 1, 1), 5)[:count]:
        own = group or event.id
        yield event.id, own, json.dumps({**json.loads(event.body), "group": own})


@pytest.mark.timeout(600)
@pytest.mark.parametrize("group", ["fleet", None], ids=["one group of 10,000", "10,000 groups of one"])
def test_one_large_group_and_many_small_groups_land_once_in_order(trial: MakeTrial, group: str | None) -> None:
    """Nothing disturbs them, so nothing is landed twice; a group of 10,000 stays in order."""
    here = trial()
    flood(here, grouped(COUNT, group))

    counts = here.finish()

    assert (counts.raw, counts.conformed) == (COUNT, COUNT)


def test_eight_drains_share_a_few_groups(trial: MakeTrial, flights: Flights) -> None:
    """Most of them get nothing while the others hold what there is."""
    here = trial()
    here.send(flights(600))
    with ThreadPoolExecutor(8) as lanes:
        drained = list(lanes.map(lambda _: here.drain(limits=Limits(messages=100)), range(8)))

    counts = here.finish()

    assert (counts.raw, counts.conformed) == (600, 600)
    assert max(lane.messages for lane in drained) <= 200, "a limit holds for each of them"
