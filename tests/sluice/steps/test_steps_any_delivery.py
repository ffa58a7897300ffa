"""Whole small pipelines: however events and drops are delivered, the datasets are those of a delivery in order.

What is expected comes twice: from the pipeline itself after a delivery in order, to the byte; and from plain Python
over the list of events, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.draining import ALL_LANDED, record_from_sqs, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import rows_of
from tests.sluice.toy import CONTRACT, EVENTS, message, reading, toy

from sluice.declaration.drops import Drops
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step
from sluice.lake.look import Look
from sluice.lake.partitions import Calendar, Partition, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Landing, Parts
from sluice.sources.due import due_partitions, record_held_back, record_started
from sluice.sources.ingest import land_partitions
from sluice.steps.lacking import held_back
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

START = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = [Partition.containing(START + timedelta(days=n), Calendar("day")) for n in range(4)]
ALL = format_ranges(DAYS)
HOURS = 24 * len(DAYS)
_MOST_DISPATCHES = 4
WEATHER = Drops("weather", prefix="drops/weather/", schema={"time": "timestamp[us, UTC]", "degrees": "int64"})
STEPS = """
import pandas as pd

TYPES = {"event_id": "string", "events": "int64", "highest": "int64", "before": "int64"}
TYPES_OF_STATE = {"group": "string", "events": "int64", "highest": "int64"}

DAY = pd.Timedelta(days=1)


def joined(conform, weather, weather_before):
    observed = pd.concat([weather_before, weather]).astype({"time": "datetime64[us, UTC]"}).sort_values("time")
    events = conform.sort_values(["event_time", "event_id"])
    found = pd.merge_asof(events, observed, left_on="event_time", right_on="time", tolerance=DAY)
    return found.drop(columns="time").sort_values(["group", "sequence_number"])


def features(joined, joined_before):
    known = pd.concat([joined_before, joined])
    rows = []
    for event in joined.itertuples():
        recent = known[(known["event_time"] <= event.event_time) & (known["event_time"] > event.event_time - DAY)]
        own = recent[(recent["group"] == event.group) & (recent["sequence_number"] < event.sequence_number)]
        before = own.sort_values("sequence_number")["value"].tail(1).sum() if len(own) else pd.NA
        rows.append((event.event_id, event.event_time, int(recent["value"].sum()), before, event.degrees))
    table = pd.DataFrame(rows, columns=["event_id", "event_time", "total", "before", "degrees"])
    table = table.astype({"event_time": "datetime64[us, UTC]", "total": "int64", "before": "Int64", "degrees": "Int64"})
    return table.sort_values(["event_time", "event_id"])


def labels(features, features_after, weather, weather_after):
    known = pd.concat([features, features_after])
    observed = pd.concat([weather, weather_after]).astype({"time": "datetime64[us, UTC]"})
    rows = []
    for event in features.itertuples():
        at = event.event_time
        later = known.loc[(known["event_time"] > at) & (known["event_time"] <= at + DAY), "total"]
        degrees = observed.loc[(observed["time"] > at) & (observed["time"] <= at + DAY), "degrees"]
        rows.append((event.event_id, at, int(later.sum()), int(degrees.sum())))
    table = pd.DataFrame(rows, columns=["event_id", "event_time", "coming", "degrees"])
    return table.astype({"event_time": "datetime64[us, UTC]", "coming": "int64", "degrees": "int64"})


def standings(joined, state, joined_before):
    known = {} if state.empty else {one.group: (one.events, one.highest) for one in state.itertuples()}
    rows = []
    for event in joined.sort_values("sequence_number").itertuples():
        events, highest = known.get(event.group, (0, event.value))
        known[event.group] = events + 1, max(highest, event.value)
        rows.append((event.event_id, *known[event.group], len(joined_before)))
    table = pd.DataFrame(rows, columns=["event_id", "events", "highest", "before"])
    state = pd.DataFrame([(group, *each) for group, each in known.items()], columns=["group", "events", "highest"])
    return table.astype(TYPES), state.astype(TYPES_OF_STATE)


def after(standings, standings_before):
    return standings.assign(before=standings_before["events"].sum())


def daily(features):
    return pd.DataFrame({"events": [len(features)], "most": [features["total"].max()]}).astype("Int64")
"""


def declared(every_split: bool) -> Pipeline:
    """Return the pipeline, with calls for neighbours or for single partitions."""
    split = "event_time" if every_split else None
    return toy(
        sources=(EVENTS, WEATHER),
        steps=(
            Conform("conform", source="events", contract="contract:Reading"),
            Step("joined", run="steps:joined", reads=(Input("conform"), Input("weather", look_back=1)), split_by=split),
            Step("features", run="steps:features", reads=(Input("joined", look_back=1),), split_by=split),
            Step(
                "labels",
                run="steps:labels",
                reads=(Input("features", look_ahead=1), Input("weather", look_ahead=1)),
                split_by=split,
            ),
            Step("daily", run="steps:daily", reads=(Input("features"),)),
            Step("standings", run="steps:standings", reads=(Input("joined", look_back=1),), state_by="group"),
            Step("after", run="steps:after", reads=(Input("standings", look_back=1),)),
        ),
        end=DAYS[-1].start,
        training=None,
        deployment=None,
    )


@dataclass(frozen=True)
class Sent:
    """A message as it was sent. Its place in the list of all is its sequence number.

    Attributes:
        event: The number of the event; a repeat and a conflict have that of another message.
        group: The group, which follows from the event.
        hour: The time of the event, in hours from the first day.
        value: The value, which is a text if the body breaks the contract.
    """

    event: int
    group: str
    hour: int
    value: int | str

    @property
    def at(self) -> datetime:
        return START + timedelta(hours=self.hour)

    def message(self, place: int, receive_count: int = 1) -> dict[str, Any]:
        body = reading(f"e-{self.event}", self.at, self.value)
        return message(body, place, group=self.group, receive_count=receive_count)


# An observation a day, by hour of the day and degrees: each version of a drop replaces the one before.
Observed = Mapping[int, int]
Drop = Sequence[Observed]


@st.composite
def messages(draw: st.DrawFn) -> list[Sent]:
    """Draw the messages of each day; each day has an event that fits."""
    kinds = st.sampled_from(["fits"] * 6 + ["malformed", "repeat", "conflict"])
    sent = [Sent(number, f"g-{number % 3}", 24 * number + draw(st.integers(0, 23)), 1) for number in range(len(DAYS))]
    for number, kind in enumerate(draw(st.lists(kinds, max_size=20)), len(DAYS)):
        earlier = draw(st.sampled_from(sent))
        if kind == "repeat":
            sent.append(earlier)
        elif kind == "conflict":
            sent.append(replace(earlier, value=draw(st.integers(100, 109))))
        else:
            value = draw(st.integers(0, 9)) if kind == "fits" else "many"
            sent.append(Sent(number, f"g-{draw(st.integers(0, 2))}", draw(st.integers(0, HOURS - 1)), value))
    return sent


DROPS = st.lists(
    st.lists(st.dictionaries(st.integers(0, 23), st.integers(-9, 9), max_size=3), min_size=1, max_size=3),
    min_size=len(DAYS),
    max_size=len(DAYS),
)
# What is done while messages come, by name and two numbers.
WORK = st.lists(
    st.tuples(
        st.sampled_from(["deliver", "again", "close", "drop", "transform", "dispatch"]),
        st.integers(0, 9),
        st.integers(0, len(DAYS) - 1),
    ),
    max_size=5,
)


class World:
    """A lake, and how far it is."""

    def __init__(self, workspace: Workspace, sent: Sequence[Sent], drops: Sequence[Drop]) -> None:
        self.workspace, self.sent = workspace, sent
        self.drops = [iter(drop) for drop in drops]
        self.landed: list[int] = []

    def land(self, places: Sequence[int], receive_count: int = 1) -> None:
        records = [record_from_sqs(self.sent[place].message(place + 1, receive_count), EVENTS) for place in places]
        if records:
            with ThreadPoolExecutor(2) as pool:
                Parts(Landing(self.workspace.lake, "events"), pool).land(records)
        self.landed += places

    def close(self, day: int) -> None:
        lake = replace(self.workspace.lake, now=lambda: DAYS[day].end + EVENTS.lateness)
        close_source(lake, self.workspace.pipeline, EVENTS, ALL_LANDED)

    def drop(self, day: int) -> bool:
        """Put the next version of a day's drop; return whether there was one."""
        observed = next(self.drops[day], None)
        if observed is None:
            return False
        lines = [
            f"{(DAYS[day].start + timedelta(hours=hour)).isoformat()},{degrees}" for hour, degrees in observed.items()
        ]
        lake, folder = self.workspace.lake, f"drops/weather/{DAYS[day].key}"
        lake.put(f"{folder}/day.csv", "\n".join(["time,degrees", *lines, ""]).encode())
        lake.put(f"{folder}/_SUCCESS", b"")
        return True

    def transform(self, ranges: str) -> int:
        """Run all steps over partitions; return how many have changed."""
        land_partitions(self.workspace, ranges)
        return sum(run_step(self.workspace, step.name, ranges)["changed"] for step in self.workspace.pipeline.steps)

    def dispatch(self) -> bool:
        """Run what is due, as the dispatch does; return whether anything was."""
        due = due_partitions(self.workspace, len(DAYS))
        if not due.ready:
            return False
        record_started(self.workspace, due.ready, "run", due.waiting)
        self.transform(format_ranges(due.ready))
        waits = held_back(self.workspace, self.workspace.pipeline.steps, due.ready)
        record_held_back(self.workspace, waits)
        return True

    def complete(self) -> None:
        """Drop all that is still to come, and close all days."""
        for day in range(len(DAYS)):
            while self.drop(day):
                pass
        self.close(len(DAYS) - 1)

    def digests(self) -> dict[str, dict[str, list[str]]]:
        """Return the keys of the objects of each partition of each dataset. A key has the digest of the rows."""
        lake, found = self.workspace.lake, dict[str, dict[str, list[str]]]()
        for step in self.workspace.pipeline.steps:
            manifests = Look(lake).manifests(step.name)
            found[step.name] = {
                each.partition: [
                    *(file.key for file in (*each.files, *each.quarantined)),
                    "" if each.carried is None else each.carried.key,
                ]
                for each in manifests
            }
        return found


@dataclass(frozen=True)
class Delivery:
    """How messages come: in which order, how many after all days were closed and made, and what is done meanwhile."""

    order: Sequence[int]
    late: int
    before: Sequence[tuple[str, int, int]]
    after: Sequence[tuple[str, int, int]]


@st.composite
def deliveries(draw: st.DrawFn, sent: Sequence[Sent]) -> Delivery:
    order = draw(st.permutations(range(len(sent))))
    return Delivery(order, draw(st.integers(0, 4)), draw(WORK), draw(WORK))


def deliver(world: World, delivery: Delivery) -> None:
    waiting = work_off(world, delivery.before, delivery.order)
    early = max(0, len(waiting) - delivery.late)
    world.land(waiting[:early])
    for day in range(len(DAYS)):
        world.drop(day)
    world.close(len(DAYS) - 1)
    world.dispatch()
    world.land(work_off(world, delivery.after, waiting[early:]))
    world.complete()
    assert any(not world.dispatch() for _ in range(_MOST_DISPATCHES)), "the dispatch comes to no end"


def work_off(world: World, work: Sequence[tuple[str, int, int]], waiting: Sequence[int]) -> Sequence[int]:
    """Do some work; return the messages that still wait."""
    for kind, many, day in work:
        match kind:
            case "deliver":
                world.land(waiting[:many])
                waiting = waiting[many:]
            case "again":
                world.land(world.landed[-many:] if many else [], receive_count=2)
            case "close":
                world.close(day)
            case "drop":
                world.drop(day)
            case "transform":
                world.transform(format_ranges(DAYS[min(day, many % len(DAYS)) : day + 1]))
            case "dispatch":
                world.dispatch()
    return waiting


def accepted(sent: Sequence[Sent]) -> list[int]:
    """Return the places of the first message of each event that fits."""
    first: dict[int, int] = {}
    for place, each in enumerate(sent):
        if isinstance(each.value, int):
            first.setdefault(each.event, place)
    return list(first.values())


def without_repeats(sent: Sequence[Sent]) -> list[int]:
    """Return the places of all messages but those that repeat an event as it was accepted."""
    first = {sent[place].event: place for place in accepted(sent)}
    return [
        place
        for place, each in enumerate(sent)
        if first.get(each.event, place) == place or sent[first[each.event]] != each
    ]


def expected_features(sent: Sequence[Sent], drops: Sequence[Drop]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of ``features`` by partition, from all messages in order and the last version of each drop."""
    events = [(place, sent[place]) for place in accepted(sent)]
    observed = sorted(
        (24 * day + hour, degrees) for day, drop in enumerate(drops) for hour, degrees in drop[-1].items()
    )
    by_day: dict[str, list[dict[str, Any]]] = {day.key: [] for day in DAYS}
    for place, event in sorted(events, key=lambda placed: (placed[1].hour, f"e-{placed[1].event}")):
        recent = [(at, each) for at, each in events if event.hour - 24 < each.hour <= event.hour]
        own = [
            each.value
            for at, each in sorted(recent, key=lambda placed: placed[0])
            if each.group == event.group and at < place
        ]
        known = [
            degrees
            for hour, degrees in observed
            if event.hour - 24 <= hour <= event.hour and hour // 24 >= event.hour // 24 - 1
        ]
        row = {
            "event_id": f"e-{event.event}",
            "event_time": event.at,
            "total": sum(int(each.value) for _, each in recent),
            "before": own[-1] if own else None,
            "degrees": known[-1] if known else None,
        }
        by_day[DAYS[event.hour // 24].key].append(row)
    return by_day


def expected_labels(features: Mapping[str, list[dict[str, Any]]], drops: Sequence[Drop]) -> dict[str, Any]:
    """Return the rows of ``labels`` by partition, from all features and the last version of each drop."""
    known = [row for rows in features.values() for row in rows]
    observed = [
        (START + timedelta(days=day, hours=hour), degrees)
        for day, drop in enumerate(drops)
        for hour, degrees in drop[-1].items()
    ]

    def label(event: dict[str, Any]) -> dict[str, Any]:
        at = event["event_time"]
        coming = [row["total"] for row in known if at < row["event_time"] <= at + timedelta(days=1)]
        degrees = [each for time, each in observed if at < time <= at + timedelta(days=1)]
        return {"event_id": event["event_id"], "event_time": at, "coming": sum(coming), "degrees": sum(degrees)}

    return {key: [label(event) for event in rows] for key, rows in features.items()}


def expected_standings(sent: Sequence[Sent]) -> dict[str, list[tuple[str, int, int]]]:
    """Return how many events the group of each had until then, and the highest value, by partition."""
    taken = [(sent[place].hour // 24, place, sent[place]) for place in accepted(sent)]
    found: dict[str, list[tuple[str, int, int]]] = {day.key: [] for day in DAYS}
    for day, place, event in sorted(taken, key=lambda each: each[:2]):
        own = [each for when, at, each in taken if each.group == event.group and (when, at) <= (day, place)]
        found[DAYS[day].key].append((f"e-{event.event}", len(own), max(int(each.value) for each in own)))
    return found


_numbers = count()


@pytest.fixture
def worlds(lake: Lake, declare: Declare) -> Any:
    """Makes a world with an empty lake of its own."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS})

    def make(sent: Sequence[Sent], drops: Sequence[Drop], *, split: bool) -> World:
        bucket = f"{lake.bucket[:50]}-{next(_numbers)}"
        lake.s3.create_bucket(Bucket=bucket)
        return World(workspace_of(Lake(lake.s3, bucket, "toy"), declared(split)), sent, drops)

    return make


def _require_the_digests_of_a_delivery_in_order(
    worlds: Any, sent: list[Sent], drops: list[Drop], data: st.DataObject
) -> None:
    in_order = worlds(sent, [drop[-1:] for drop in drops], split=False)
    in_order.land(without_repeats(sent))
    in_order.complete()
    in_order.transform(ALL)
    world = worlds(sent, drops, split=True)

    deliver(world, data.draw(deliveries(sent)))

    assert world.digests() == in_order.digests()
    assert [sorted(days) for days in world.digests().values()] == [[day.key for day in DAYS]] * 7
    features, labels = (
        {day.key: rows_of(world.workspace.lake, step, day.key) for day in DAYS} for step in ("features", "labels")
    )
    assert features == expected_features(sent, drops)
    assert labels == expected_labels(features, drops)
    standings = {day.key: rows_of(world.workspace.lake, "standings", day.key) for day in DAYS}
    assert {
        day: [(row["event_id"], row["events"], row["highest"]) for row in rows] for day, rows in standings.items()
    } == expected_standings(sent)
    assert world.transform(ALL) == 0


_DELIVERED = given(sent=messages(), drops=DROPS, data=st.data())
_EXAMPLES = partial(
    settings, suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture]
)


@_EXAMPLES(max_examples=8)
@_DELIVERED
def test_any_delivery_gives_the_digests_of_a_delivery_in_order(
    worlds: Any, sent: list[Sent], drops: list[Drop], data: st.DataObject
) -> None:
    _require_the_digests_of_a_delivery_in_order(worlds, sent, drops, data)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@_EXAMPLES(max_examples=100)
@_DELIVERED
def test_each_of_many_deliveries_gives_the_digests_of_one_in_order(
    worlds: Any, sent: list[Sent], drops: list[Drop], data: st.DataObject
) -> None:
    _require_the_digests_of_a_delivery_in_order(worlds, sent, drops, data)
