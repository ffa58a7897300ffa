"""Whole small pipelines whose label lies ahead: what each event's group adds up to in the time after it.

What is expected comes from plain Python over the list of all events, in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.draining import ALL_LANDED, record_from_sqs, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import manifest_json, rows_of
from tests.sluice.s3_calls import counted
from tests.sluice.toy import CONTRACT, EVENTS, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step
from sluice.lake.partitions import Partition, between, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Landing, Parts
from sluice.sources.due import due_partitions, record_held_back, record_started
from sluice.steps.lacking import held_back
from sluice.steps.runner import run_step

STEPS = """
import pandas as pd

AHEAD = pd.Timedelta(hours={hours})
TYPES = {{"event_id": "string", "event_time": "datetime64[us, UTC]", "label": "int64"}}


def labels(conform, conform_after):
    known = pd.concat([conform, conform_after])
    rows = []
    for event in conform.itertuples():
        later = known[(known["event_time"] > event.event_time) & (known["event_time"] <= event.event_time + AHEAD)]
        rows.append((event.event_id, event.event_time, later.loc[later["group"] == event.group, "value"].sum()))
    return pd.DataFrame(rows, columns=list(TYPES)).astype(TYPES).sort_values(["event_time", "event_id"])


def trend(labels, labels_before):
    return labels.assign(before=int(labels_before["label"].sum()))


def peeks(trend, trend_after):
    return trend.assign(later=len(trend_after))
"""
BERLIN = ZoneInfo("Europe/Berlin")
FIRST = datetime(2013, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """An event of a group; its value is what labels add up."""

    name: str
    at: datetime
    group: str = "g"
    value: int = 1


@dataclass(frozen=True)
class Divided:
    """How a pipeline divides time, and how far its label lies ahead."""

    every: str
    start: datetime
    ahead: timedelta
    partitions: int  # on which the label looks ahead

    def pipeline(self, *, split: bool = False, **changes: Any) -> Pipeline:
        split_by = "event_time" if split else None
        zone = str(self.start.tzinfo)
        return toy(
            every=self.every,
            zone=zone,
            start=self.start,
            sources=(EVENTS,),
            steps=(
                Conform("conform", source="events", contract="contract:Reading", once_within=None),
                Step(
                    "labels", "steps:labels", (Input("conform", look_ahead=self.partitions),), split_by=split_by
                ),
                Step("trend", "steps:trend", (Input("labels", look_back=1),)),
            ),
            training=None,
            deployment=None,
            **changes,
        )  # fmt: skip


DAYS = Divided("day", FIRST, timedelta(hours=24), 1)
HOURS = Divided("hour", FIRST, timedelta(hours=3), 3)
# On March 31 clocks went forward, so that 24 hours after an event may lie in the second day after it.
LOCAL_DAYS = Divided("day", datetime(2013, 3, 29, tzinfo=BERLIN), timedelta(hours=24), 2)
DIVIDED = pytest.mark.parametrize("divided", [DAYS, HOURS, LOCAL_DAYS], ids=["days", "hours", "days of a zone"])


class World:
    """A lake, and the pipeline that makes it."""

    def __init__(self, lake: Lake, pipeline: Pipeline) -> None:
        self.workspace = workspace_of(lake, pipeline)
        self.lake, self.pipeline = self.workspace.lake, pipeline
        self._sent = count(1)

    def land(self, events: Iterable[Event]) -> None:
        records = [
            record_from_sqs(
                message(reading(each.name, each.at, each.value), next(self._sent), group=each.group), EVENTS
            )
            for each in events
        ]  # fmt: skip
        if records:
            with ThreadPoolExecutor(2) as pool:
                Parts(Landing(self.lake, "events"), pool).land(records)

    def close(self, last: Partition) -> None:
        """Close the partitions up to one, included."""
        lake = replace(self.lake, now=lambda: last.end + EVENTS.lateness)
        close_source(lake, self.pipeline, EVENTS, ALL_LANDED)

    def run(self, *partitions: Partition) -> dict[str, int]:
        """Run all steps over partitions; return how many of them each has held back."""
        ranges = format_ranges(partitions)
        return {step.name: run_step(self.workspace, step.name, ranges)["held_back"] for step in self.pipeline.steps}

    def dispatch(self) -> list[Partition]:
        """Run what is due, each partition alone, as the dispatch does; return it."""
        due = due_partitions(self.workspace, 100).ready
        for each in due:
            record_started(self.workspace, [each], each.label)
            self.run(each)
            waits = held_back(self.workspace, self.pipeline.steps, [each])
            if waits:
                record_held_back(self.workspace, waits)
        return list(due)

    def made(self, step: str) -> list[Partition]:
        return self.lake.partitions(step)

    def labels(self) -> dict[str, list[tuple[str, int]]]:
        """Return the events of each partition of ``labels`` with their labels, in order."""
        return {
            each.key: [(row["event_id"], row["label"]) for row in rows_of(self.lake, "labels", each.key)]
            for each in self.made("labels")
        }

    def manifests(self) -> dict[tuple[str, str], tuple[int, list[str]]]:
        """Return the revision and the objects of each partition of each step."""
        found = {}
        for step in self.pipeline.steps:
            for each in self.made(step.name):
                manifest = manifest_json(self.lake, step.name, each.key)
                found[step.name, each.key] = manifest["revision"], [file["key"] for file in manifest["files"]]
        return found


def expected_labels(divided: Divided, events: Sequence[Event], made: Iterable[Partition]) -> dict[str, Any]:
    """Return the labels of some partitions, from all events."""
    return {
        partition.key: [
            (
                each.name,
                sum(
                    other.value
                    for other in events
                    if other.group == each.group and each.at < other.at <= each.at + divided.ahead
                ),
            )
            for each in sorted(events, key=lambda event: (event.at, event.name))
            if partition.start <= each.at < partition.end
        ]
        for partition in made
    }  # fmt: skip


def partitions_of(divided: Divided, number: int) -> list[Partition]:
    first = Partition.containing(divided.start, divided.pipeline().calendar)
    return list(between(first, first.shift(number - 1)))


def events_of(partitions: Sequence[Partition]) -> list[Event]:
    """Return events at the start, in the middle and at the end of each partition, of two groups."""
    moments = (
        (moment, group)
        for each in partitions
        for moment, group in (
            (each.start, "g"),
            (each.start + (each.end - each.start) / 2, "h"),
            (each.end - timedelta(seconds=1), "g"),
        )
    )
    return [Event(f"e-{n:02d}", at, group, value=n + 1) for n, (at, group) in enumerate(moments)]


@DIVIDED
@pytest.mark.parametrize("split", [False, True], ids=["alone", "split"])
def test_label_appears_once_it_can_be_known(lake: Lake, declare: Declare, divided: Divided, split: bool) -> None:
    """GIVEN partitions that close one after the other WHEN each has its run THEN the run makes what it completes."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=divided.ahead // timedelta(hours=1))})
    world, partitions = World(lake, divided.pipeline(split=split)), partitions_of(divided, 7)
    events = events_of(partitions)
    world.land(events)

    for number, each in enumerate(partitions, 1):
        world.close(each)
        assert world.run(each) == {"conform": 0, "labels": 1, "trend": 1}
        known = partitions[: max(0, number - divided.partitions)]
        assert (world.made("labels"), world.made("trend")) == (known, known)
        assert world.labels() == expected_labels(divided, events, known)
    assert world.run(*partitions) == {"conform": 0, "labels": divided.partitions, "trend": divided.partitions}


@DIVIDED
def test_last_partitions_appear_where_the_pipeline_ends(lake: Lake, declare: Declare, divided: Divided) -> None:
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=divided.ahead // timedelta(hours=1))})
    partitions = partitions_of(divided, 5)
    world = World(lake, divided.pipeline(end=partitions[-1].start.astimezone(divided.start.tzinfo)))
    events = events_of(partitions)
    world.land(events)
    for each in partitions:
        world.close(each)
        world.run(each)

    assert world.made("trend") == partitions
    assert world.labels() == expected_labels(divided, events, partitions)


@pytest.mark.parametrize("split", [False, True], ids=["alone", "split"])
def test_range_gives_the_bytes_of_partitions_one_by_one(lake: Lake, declare: Declare, split: bool) -> None:
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=24)})
    partitions = partitions_of(DAYS, 6)
    keys = []
    for number, at_once in enumerate((True, False)):
        bucket = f"{lake.bucket[:50]}-{number}"
        lake.s3.create_bucket(Bucket=bucket)
        world = World(Lake(lake.s3, bucket, "toy"), DAYS.pipeline(split=split and at_once))
        world.land(events_of(partitions))
        world.close(partitions[-1])
        if at_once:
            world.run(*partitions)
        else:
            for each in reversed(partitions):
                world.run(each)
        keys.append({place: objects for place, (_, objects) in world.manifests().items()})

    assert keys[0] == keys[1]
    assert len(keys[0]) == len(partitions) * 3 - 2


def test_late_data_rebuilds_exactly_what_depends_on_it(lake: Lake, declare: Declare) -> None:
    """GIVEN late data of a day THEN its label and that of the day before change, and what looks back on these."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=24)})
    world, days = World(lake, DAYS.pipeline()), partitions_of(DAYS, 8)
    events = events_of(days)
    world.land(events)
    world.close(days[-1])
    world.run(*days)
    before = world.manifests()

    late = Event("late", days[4].start + timedelta(hours=1), "g", 100)
    world.land([late])
    world.run(days[4])

    now = world.manifests()
    changed = {place for place, found in now.items() if found != before[place]}
    assert changed == {
        ("conform", days[4].key),
        *(("labels", each.key) for each in days[3:5]),
        *(("trend", each.key) for each in days[3:6]),
    }
    assert {now[place][0] - before[place][0] for place in changed} == {1}
    assert world.labels() == expected_labels(DAYS, [*events, late], days[:-1])


def test_gap_holds_nothing_back(lake: Lake, declare: Declare) -> None:
    """GIVEN a history with gaps, sent at once THEN the days before the gaps are made, and the gaps are not."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=24)})
    days = partitions_of(DAYS, 9)
    world = World(lake, DAYS.pipeline())
    events = events_of([days[0], days[1], days[4], days[7]])
    world.land(events)
    world.close(days[8])

    dispatched = world.dispatch()

    assert dispatched == [days[0], days[1], days[4], days[7]]
    assert world.made("trend") == world.made("labels") == dispatched
    assert world.labels() == expected_labels(DAYS, events, dispatched)


def test_day_that_waits_is_made_once_it_is_known_that_nothing_comes_after_it(lake: Lake, declare: Declare) -> None:
    """GIVEN a day that was held back, and no run of a later day THEN the dispatch starts a run of it, once."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=24)})
    days = partitions_of(DAYS, 3)
    world = World(lake, DAYS.pipeline())
    events = events_of(days[:1])
    world.land(events)
    world.close(days[0])
    assert (world.dispatch(), world.made("labels")) == ([days[0]], [])
    assert world.dispatch() == []

    ended = World(lake, replace(world.pipeline, end=days[0].start))

    assert (ended.dispatch(), ended.dispatch()) == ([days[0]], [])
    assert ended.labels() == expected_labels(DAYS, events, days[:1])


def test_later_day_that_is_open_releases_nothing(lake: Lake, declare: Declare) -> None:
    """GIVEN a day that waits THEN it has no run of its own when the next one begins to land, or is closed."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=24)})
    days = partitions_of(DAYS, 3)
    world = World(lake, DAYS.pipeline())
    events = events_of(days[:2])
    world.land(events[:3])
    world.close(days[0])
    assert world.dispatch() == [days[0]]

    world.land(events[3:])
    assert world.dispatch() == []
    world.close(days[1])

    assert (world.dispatch(), world.dispatch()) == ([days[1]], [])
    assert world.labels() == expected_labels(DAYS, events, days[:1])


def test_run_costs_what_is_new_however_long_the_history_is(lake: Lake, declare: Declare) -> None:
    """P15: with three times the history, the run of an hour makes hardly more calls of S3."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=3)})
    world, hours = World(lake, HOURS.pipeline()), partitions_of(HOURS, 36)
    world.land(events_of(hours))
    costs = []
    for before, hour in ((hours[:11], hours[11]), (hours[12:35], hours[35])):
        world.close(before[-1])
        world.run(*before)
        world.close(hour)
        with counted(lake.bucket) as calls:
            world.run(hour)
        costs.append(dict(calls))

    # A few reads depend on where in the history the hour lies. A reading of the history would add 24 of each step.
    assert all(abs(calls - costs[1][kind]) < 12 for kind, calls in costs[0].items())
    assert world.made("labels") == hours[:-3]


_numbers = count()


@pytest.fixture
def worlds(lake: Lake, declare: Declare) -> Any:
    """Makes a world with an empty lake of its own, of four days and of steps that look back and ahead."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.format(hours=24)})

    def make() -> World:
        bucket = f"{lake.bucket[:50]}-{next(_numbers)}"
        lake.s3.create_bucket(Bucket=bucket)
        pipeline = DAYS.pipeline(end=partitions_of(DAYS, 4)[-1].start)
        peeks = Step("peeks", "steps:peeks", (Input("trend", look_ahead=2),))
        return World(Lake(lake.s3, bucket, "toy"), replace(pipeline, steps=(*pipeline.steps, peeks)))

    return make


def expected_peeks(events: Sequence[Event], days: Sequence[Partition]) -> Mapping[str, list[tuple[int, int]]]:
    """Return the labels of the day before and the number of rows of the two days after, for each row of each day."""
    labels = list(expected_labels(DAYS, events, days).values())
    return {
        day.key: [
            (sum(label for _, label in (labels[n - 1] if n else [])), sum(map(len, labels[n + 1 : n + 3])))
        ] * len(labels[n])
        for n, day in enumerate(days)
    }  # fmt: skip


def peeks_of(world: World) -> Mapping[str, list[tuple[int, int]]]:
    return {
        each.key: [(row["before"], row["later"]) for row in rows_of(world.lake, "peeks", each.key)]
        for each in world.made("peeks")
    }


@pytest.mark.timeout(300)
@settings(
    max_examples=12, suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture]
)
@given(turns=st.permutations([day for day in range(4) for _ in range(4)]))
def test_runs_whose_steps_take_turns_in_any_way_make_everything(worlds: Any, turns: list[int]) -> None:
    """GIVEN four runs of a day each, which go step by step WHEN they end THEN nothing waits for one more run."""
    world, days = worlds(), partitions_of(DAYS, 4)
    events = events_of(days)
    world.land(events)
    world.close(days[-1])
    steps = {day: iter(world.pipeline.steps) for day in range(4)}

    for day in turns:
        run_step(world.workspace, next(steps[day]).name, days[day].key)

    assert world.labels() == expected_labels(DAYS, events, days)
    assert peeks_of(world) == expected_peeks(events, days)
    manifests = world.manifests()
    world.run(*days)
    assert world.manifests() == manifests


def test_runs_at_once_make_everything(worlds: Any) -> None:
    world, days = worlds(), partitions_of(DAYS, 4)
    events = events_of(days)
    world.land(events)
    world.close(days[-1])

    with ThreadPoolExecutor(len(days)) as pool:
        list(pool.map(world.run, days))

    assert world.labels() == expected_labels(DAYS, events, days)
    assert peeks_of(world) == expected_peeks(events, days)
