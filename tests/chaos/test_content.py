"""What arrives twice, too late, in any order, with an impossible time, or as no event at all (P2, P3, P6)."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.conftest import Flights, MakeTrial
from tests.chaos.seeds import seeded
from tests.chaos.trial import Trial
from tests.draining import without_events

import pipelines
from sluice.declaration import Conform, Pipeline
from sluice.declaration.loading import load_pipeline
from sluice.declaration.sources import StandardQueue
from sluice.lake.look import Look
from sluice.landing.parts import Limits
from sluice.sending.lanes import Event

DECLARED = Path(__file__).parent / "declared"


def changed(event: Event, **members: Any) -> str:
    return json.dumps({**json.loads(event.body), **members})


# Duplicates


def test_events_sent_again_inside_and_after_the_window_count_once(trial: MakeTrial, flights: Flights) -> None:
    """Within five minutes the queue drops an equal deduplication id; after that it accepts it, like a new one."""
    here, events = trial(), flights(60)
    here.send(events)
    here.drain()
    here.send(events)  # inside the window: as a producer that restarts does
    taken = here.drain().messages
    for event in events[:30]:
        here.put(event.group, event.body, f"{event.id}-again", event.id)
    here.drain()
    here.close()
    for event in events[20:40]:
        here.put(event.group, event.body, f"{event.id}-late", event.id)

    counts = here.finish()

    assert taken == 0
    assert (counts.raw, counts.conformed, counts.quarantined) == (110, 60, {})


def test_another_content_under_the_same_id_is_quarantined_as_a_conflict(trial: MakeTrial, flights: Flights) -> None:
    """The first valid content wins, whichever is drained first; a good copy after a malformed one is accepted."""
    here, events = trial(), flights(30)
    for event in events[:10]:
        here.put(event.group, changed(event, distance="far"), f"{event.id}-malformed", event.id)
    here.send(events)
    for event in events[:20]:
        here.put(event.group, changed(event, distance=1 + event.body.count("1")), f"{event.id}-other", event.id)

    counts = here.finish()

    assert counts.conformed == 30
    assert counts.quarantined == {"conflict": 20, "distance: int_type": 10}


# A standard queue


def standard(sequence: str | None) -> Pipeline:
    """Return the flights from a standard queue; the producer's count or the event time orders an aircraft's events."""
    flights = load_pipeline("flights")
    source = StandardQueue("events", event_id="id", event_time="event_time", group="group", sequence=sequence)
    if sequence is None:
        return replace(flights, sources=(source, *without_events(flights)))
    conform = Conform("conform", source="events", contract="contracts:CountedEvent")
    return replace(
        flights, name="counted", sources=(source, *without_events(flights)), steps=(conform, *flights.steps[1:])
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(DECLARED)])
    return standard("sequence")


def scatter(here: Trial, events: list[tuple[Event, str, int]], chance: random.Random) -> None:
    """Send (event, body, place in its group) in any order, every tenth twice, as a standard queue may deliver it."""
    for event, body, order in events:
        here.note(event.id, event.group, body, order)
    bodies = [body for _, body, _ in events]
    bodies += bodies[::10]
    chance.shuffle(bodies)
    for start in range(0, len(bodies), 10):
        entries = [{"Id": f"{n}", "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
        assert not here.sqs.send_message_batch(QueueUrl=here.queue, Entries=entries).get("Failed")


@seeded(1)
def test_standard_queue_is_ordered_by_the_producers_count(
    trial: MakeTrial, flights: Flights, counted: Pipeline, seed: int
) -> None:
    in_order(trial(counted), flights(200), seed)


@pytest.mark.chaos
@seeded(3, first=1)
def test_standard_queue_drained_in_small_parts_is_ordered(
    trial: MakeTrial, flights: Flights, counted: Pipeline, seed: int
) -> None:
    here = trial(counted)
    in_order(here, flights(2000), seed, Limits(messages=100))


def in_order(here: Trial, events: list[Event], seed: int, limits: Limits | None = None) -> None:
    places: Counter[str] = Counter()
    sent = []
    for event in events:
        places[event.group] += 1
        sent.append((event, changed(event, sequence=places[event.group]), places[event.group]))
    scatter(here, sent, random.Random(seed))
    while limits is not None and not here.drain(limits=limits).empty:
        pass

    counts = here.finish()

    assert counts.raw == len(events) + len(events[::10])
    assert (counts.conformed, counts.quarantined) == (len(events), {})


def test_standard_queue_without_a_count_is_ordered_by_time_and_id(trial: MakeTrial, flights: Flights) -> None:
    """Clocks that show only the half of the day, so that many times of an aircraft are equal."""
    here = trial(standard(None))
    events = [replace(event, event_time=_half_of_day(event.event_time)) for event in flights(200)]
    ordered = sorted(events, key=lambda event: (event.event_time, event.id))
    bodies = [(event, changed(event, event_time=event.event_time.isoformat())) for event in ordered]
    scatter(here, [(*pair, place) for place, pair in enumerate(bodies)], random.Random(0))

    assert here.finish().conformed == 200


def _half_of_day(time: datetime) -> datetime:
    return time.replace(hour=time.hour // 12 * 12, minute=0)


# Clocks


def test_wrong_clocks_neither_lose_events_nor_close_current_partitions(trial: MakeTrial, flights: Flights) -> None:
    """A time of up to a day ahead of the queue's clock is accepted; what is further ahead is quarantined."""
    here, events = trial(), flights(60)
    here.send(events[:40])
    now = datetime.now(UTC)
    times = {
        "ahead": (now + timedelta(days=2)).isoformat(),
        "far ahead": "9999-12-31T23:59:59+00:00",
        "a little ahead": (now + timedelta(hours=20)).isoformat(),
        "behind": "1970-01-01T00:00:00+00:00",
        "far behind": "0001-01-01T00:00:00+00:00",
        "another zone": "2013-01-02T23:30:00-05:00",
        "before all time": "0001-01-01T00:00:00+12:00",
        "no zone": "2013-01-02T10:00:00",
        "no such day": "2013-02-30T10:00:00+00:00",
    }
    for event, (name, time) in zip(events[40:], times.items(), strict=False):
        here.put(event.group, changed(event, event_time=time), name, event.id)
    here.drain()

    here.close_at(now)  # by a clock that is right
    states = {manifest.partition: manifest.state for manifest in Look(here.lake()).manifests("raw/events")}
    today = f"dt={now.date()}"
    assert {key for key, state in states.items() if state == "open"} >= {today}
    assert states["dt=2013-01-02"] == states["dt=1970-01-01"] == "closed"
    here.close_at(now - timedelta(days=30 * 365))  # by one that is decades behind: what is closed stays closed
    assert states == {manifest.partition: manifest.state for manifest in Look(here.lake()).manifests("raw/events")}

    counts = here.finish()

    assert counts.conformed == 40 + len({"a little ahead", "behind", "another zone"})
    assert counts.quarantined == {
        "event_time: out of range": len({"ahead", "far ahead", "far behind", "before all time"}),
        "event_time: not_a_time": len({"no zone", "no such day"}),
    }


@pytest.mark.slow
def test_queues_clock_may_differ_from_the_lakes(trial: MakeTrial, flights: Flights) -> None:
    """GIVEN a lake whose clock is years behind the queue's, THEN it closes nothing too early, and later all."""
    here = trial()
    here.send(flights(60))
    here.drain()

    assert here.close_at(datetime(2013, 1, 3, 0, 30, tzinfo=UTC)) == ""
    assert here.close_at(datetime(2013, 1, 3, 1, 0, tzinfo=UTC)) == "dt=2013-01-02"
    assert here.finish().conformed == 60


# Bodies


def test_bodies_that_are_no_events_are_quarantined_verbatim_and_block_no_event(
    trial: MakeTrial, flights: Flights
) -> None:
    """Before, between and after the events of the same aircraft."""
    here, events = trial(), flights(40)
    one = events[0]
    bodies = {
        "no json": "not json at all",
        "empty object": "{}",
        "a list": "[1, 2, 3]",
        "a number": "17",
        "null": "null",
        "cut short": one.body[:-7],
        "twice": one.body + one.body,
        "half a surrogate": '{"id": "\\ud800", "event_time": "\\udfff"}',
        "id that utf-8 can't hold": changed(one, id="\ud800"),
        "escaped nul": '{"id": "\\u0000"}',
        "nested deeply": "[" * 100_000 + "]" * 100_000,
        "objects nested deeply": '{"a":' * 50_000 + "1" + "}" * 50_000,
        "huge number": changed(one, id="huge").replace('"distance": ', '"distance": 1' + "0" * 5000),
        "huge exponent": '{"id": "e", "distance": 1e999999}',
        "not a number": '{"id": "n", "distance": NaN}',
        "other characters": '{"id": "ключ", "群": "🛫"}',
        "unknown member": changed(one, surprise=1),
        "id is a list": changed(one, id=[1]),
        "id is a float": changed(one, id=1.5),
        "group is another's": changed(one, id="g", group=""),
    }
    here.send(events[:20])
    for name, body in bodies.items():
        here.put(one.group, body, name.replace(" ", "-").replace("'", ""), _id_in(body))
    here.send(events[20:])

    counts = here.finish()

    assert counts.conformed == 40
    assert sum(counts.quarantined.values()) == len(bodies)


def _id_in(body: str) -> str | None:
    """Return the event id of a body; None where it has none that UTF-8 can encode."""
    try:
        members = json.loads(body)
        event_id = members["id"]
        event_id.encode()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return str(event_id)


def test_largest_possible_bodies_are_landed(trial: MakeTrial, flights: Flights) -> None:
    """1 MiB each, events and others: they are landed like all others."""
    here, events = trial(), flights(10)
    for number, event in enumerate(events):
        body = json.dumps({**json.loads(event.body), "tailnum": None}) if number % 2 else event.body
        padded = body[:-1] + " " * (1024 * 1024 - len(body.encode())) + body[-1]
        here.put(event.group, padded, event.id)
    here.put(events[0].group, "x" * 1024 * 1024, "x")

    counts = here.finish()

    assert (counts.conformed, counts.quarantined) == (10, {"not_json": 1})
