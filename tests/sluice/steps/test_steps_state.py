"""Whole small pipelines that carry a state from day to day: how many events of a group there were, and the highest.

What is expected comes from plain Python over the list of all events, in the order of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.draining import ALL_LANDED, record_from_sqs, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import manifest_json, rows_of
from tests.sluice.s3_calls import counted
from tests.sluice.toy import CONTRACT, DROPS, EVENTS, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step
from sluice.errors import SluiceError
from sluice.lake.partitions import Partition, between, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Landing, Parts
from sluice.sources.due import due_partitions, record_held_back, record_started
from sluice.sources.ingest import land_partitions
from sluice.steps.lacking import describe_held_back, held_back
from sluice.steps.plan import plan
from sluice.steps.runner import run_step

STEPS = """
import pandas as pd

TYPES = {"event_id": "string", "event_time": "datetime64[us, UTC]", "number": "int64", "highest": "int64"}


def totals(conform, state, **others):
    if (conform["value"] == 666).any():
        raise ValueError("no such value")
    known = {} if state.empty else {one.group: (one.events, one.highest) for one in state.itertuples()}
    rows = []
    for event in conform.itertuples():
        events, highest = known.get(event.group, (0, -1))
        known[event.group] = events + 1, max(highest, event.value)
        rows.append((event.event_id, event.event_time, *known[event.group]))
    after = [(group, *each) for group, each in known.items()]
    after = pd.DataFrame(after, columns=["group", "events", "highest"]).astype({"events": "int64", "highest": "int64"})
    return pd.DataFrame(rows, columns=list(TYPES)).astype(TYPES).sort_values(["event_time", "event_id"]), after


def ranked(totals, totals_before):
    return totals.assign(before=len(totals_before))
"""
FIRST = datetime(2013, 1, 1, tzinfo=UTC)
WEATHER = replace(DROPS, name="weather")
ABOVE = 1_000  # hours between the groups' numbers


@dataclass(frozen=True)
class Event:
    """An event of a group: at which hour from the first day on it happened, and its value."""

    name: str
    hour: int
    group: str = "g"
    value: int = 1

    @property
    def at(self) -> datetime:
        return FIRST + timedelta(hours=self.hour)


def declared(*reads: Input, **changes: Any) -> Pipeline:
    sources = (EVENTS, WEATHER) if "weather" in {read.dataset for read in reads} else (EVENTS,)
    return toy(
        sources=sources,
        steps=(
            Conform("conform", source="events", contract="contract:Reading"),
            Step("totals", "steps:totals", reads or (Input("conform"),), state_by="group"),
            Step("ranked", "steps:ranked", (Input("totals", look_back=1),)),
        ),
        start=FIRST,
        training=None,
        deployment=None,
        **changes,
    )


def days_of(number: int) -> list[Partition]:
    first = Partition.containing(FIRST, declared().calendar)
    return list(between(first, first.shift(number - 1)))


def day_of(event: Event) -> str:
    return days_of(event.hour // 24 + 1)[-1].key


class World:
    """A lake, and the pipeline that makes it."""

    def __init__(self, lake: Lake, pipeline: Pipeline) -> None:
        self.workspace = workspace_of(lake, pipeline)
        self.lake, self.pipeline = self.workspace.lake, pipeline
        self.sent: list[Event] = []

    def land(self, events: Iterable[Event], copies: int = 1) -> None:
        """Land events as they were sent. The sequence number follows the time, as in the reference."""
        records = [
            record_from_sqs(
                message(reading(each.name, each.at, each.value), each.hour + 1, group=each.group, receive_count=copy),
                EVENTS,
            )
            for each in events
            for copy in range(1, copies + 1)
        ]
        if records:
            with ThreadPoolExecutor(2) as pool:
                Parts(Landing(self.lake, "events"), pool).land(records)

    def close(self, last: Partition) -> None:
        """Close the days up to one, included."""
        lake = replace(self.lake, now=lambda: last.end + EVENTS.lateness)
        close_source(lake, self.pipeline, EVENTS, ALL_LANDED)

    def drop(self, *days: Partition) -> None:
        for day in days:
            self.lake.put(f"drops/weather/{day.key}/day.csv", b"degrees\n1\n")
            self.lake.put(f"drops/weather/{day.key}/_SUCCESS", b"")

    def run(self, *days: Partition) -> dict[str, int]:
        """Run all steps over days; return how many of them each has held back."""
        ranges = format_ranges(days)
        land_partitions(self.workspace, ranges)
        return {step.name: run_step(self.workspace, step.name, ranges)["held_back"] for step in self.pipeline.steps}

    def dispatch(self) -> list[Partition]:
        """Run what is due, each day alone, as the dispatch does; return it."""
        due = due_partitions(self.workspace, 100)
        for each in due.ready:
            record_started(self.workspace, [each], each.label, due.waiting)
            self.run(each)
            record_held_back(self.workspace, {each: held_back(self.workspace, self.pipeline.steps, [each]).get(each, ())})
        return list(due.ready)

    def made(self, step: str = "totals") -> list[Partition]:
        return self.lake.partitions(step)

    def totals(self) -> dict[str, list[tuple[str, int, int]]]:
        """Return the number of the events of each group, and the highest value, by day and in order."""
        return {
            each.key: [(row["event_id"], row["number"], row["highest"]) for row in rows_of(self.lake, "totals", each.key)]
            for each in self.made()
        }

    def manifests(self) -> dict[tuple[str, str], Any]:
        """Return what each day of each step was made of and holds."""
        found = {}
        for step in self.pipeline.steps:
            for each in self.made(step.name):
                manifest = manifest_json(self.lake, step.name, each.key)
                objects = [file["key"] for file in [*manifest["files"], *filter(None, [manifest.get("carried")])]]
                found[step.name, each.key] = objects, manifest["inputs"]
        return found


def expected(events: Sequence[Event], made: Iterable[Partition]) -> dict[str, list[tuple[str, int, int]]]:
    """Return the totals of some days, from all events."""
    found: dict[str, list[tuple[str, int, int]]] = {day.key: [] for day in made}
    for each in sorted(events, key=lambda event: (event.hour, event.name)):
        before = [one for one in events if one.group == each.group and one.hour <= each.hour]
        if day_of(each) in found:
            found[day_of(each)].append((each.name, len(before), max(one.value for one in before)))
    return found


def events_of(*days: int) -> list[Event]:
    """Return three events of each day, of a group that is there each day and of one that is there every fourth day."""
    return [
        Event(f"e-{day:03d}-{hour:02d}", day * 24 + hour, group, value=(day * 7 + hour) % 50)
        for day in days
        for hour, group in ((1, "g"), (5, "h" if day % 4 == 0 else "g"), (20, "g"))
    ]


@pytest.fixture(autouse=True)
def modules(declare: Declare) -> None:
    declare("toy", {"contract": CONTRACT, "steps": STEPS})


_numbers = count()


@pytest.fixture
def worlds(lake: Lake) -> Callable[..., World]:
    """Makes a world with an empty lake of its own."""

    def make(pipeline: Pipeline | None = None) -> World:
        bucket = f"{lake.bucket[:50]}-{next(_numbers)}"
        lake.s3.create_bucket(Bucket=bucket)
        return World(Lake(lake.s3, bucket, "toy"), pipeline or declared())

    return make


@contextmanager
def calls_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the days for which the function of ``totals`` is called; they grow meanwhile."""
    import pipelines.toy.steps as steps

    called, totals = list[str](), steps.totals

    def spied(conform: Any, **others: Any) -> Any:
        called.append(str(conform["event_time"].min())[:10] if len(conform) else "")
        return totals(conform, **others)

    with monkeypatch.context() as patched:
        patched.setattr(steps, "totals", spied)
        yield called


def test_state_goes_from_day_to_day_however_long_a_group_was_away(lake: Lake) -> None:
    world, days = World(lake, declared()), days_of(9)
    events = events_of(*range(9))
    world.land(events)
    for each in days:
        world.close(each)
        assert world.run(each) == {"conform": 0, "totals": 0, "ranked": 0}

    assert world.totals() == expected(events, days)


def test_range_gives_the_objects_of_days_one_by_one_in_any_order(worlds: Callable[..., World]) -> None:
    days, events, found = days_of(7), events_of(*range(7)), []
    for order in ([days], [[each] for each in days], [[each] for each in reversed(days)], [days[4:], days[2:4], days[:2]]):
        world = worlds()
        world.land(events)
        world.close(days[-1])
        for some in order:
            world.run(*some)
        found.append(world.manifests())

    assert found[0] == found[1] == found[2] == found[3]
    assert len(found[0]) == 3 * len(days)
    assert world.totals() == expected(events, days)


def test_day_waits_for_the_one_before_it_and_is_made_by_its_run(lake: Lake) -> None:
    world, days = World(lake, declared()), days_of(4)
    events = events_of(0, 1, 2, 3)
    world.land(events)
    world.close(days[-1])
    world.run(days[0])

    assert world.run(*days[2:]) == {"conform": 0, "totals": 2, "ranked": 2}
    waits = held_back(world.workspace, world.pipeline.steps, days[2:])
    assert describe_held_back(waits) == "dt=2013-01-03..dt=2013-01-04 waits for totals dt=2013-01-02..dt=2013-01-03"

    assert world.run(days[1]) == {"conform": 0, "totals": 0, "ranked": 0}
    assert world.made("ranked") == days
    assert world.totals() == expected(events, days)


def test_late_data_rebuilds_days_until_a_state_comes_out_as_it_was(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a late event below the highest value, in a step that keeps the highest alone."""
    declared_by_highest = STEPS.replace("events + 1, max", "0, max")
    Path(__import__("pipelines.toy.steps", fromlist=["_"]).__file__).write_text(declared_by_highest)
    world, days = World(lake, declared()), days_of(6)
    world.land([Event("e-0", 0, value=3), *(Event(f"e-{day}", day * 24, value=day + 4) for day in range(1, 6))])
    world.close(days[-1])
    world.run(*days)
    before = world.manifests()

    world.land([Event("late", 2, value=4)])
    with calls_of(monkeypatch) as called:
        world.run(days[0])

    now = world.manifests()
    assert called == ["2013-01-01", "2013-01-02"]
    # The second day has the same rows and the same state, so nothing after it is looked at, and none of its readers.
    changed = {place for place, found in now.items() if found != before[place]}
    assert changed == {
        ("conform", days[0].key),
        *(("totals", each.key) for each in days[:2]),
        *(("ranked", each.key) for each in days[:2]),
    } - ({("ranked", days[1].key)} if now["totals", days[1].key][0][0] == before["totals", days[1].key][0][0] else set())
