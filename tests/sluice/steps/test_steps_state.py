"""Whole small pipelines that carry a state from day to day: how many events of a group there were, and the highest.

What is expected comes from plain Python over the list of all events, in the order of time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import Cloud
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
            Conform("conform", source="events", contract="contract:Reading", once_within=None),
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
                message(
                    reading(each.name, each.at, each.value),
                    each.hour + 1,
                    group=each.group,
                    receive_count=copy,
                    SentTimestamp=str(int(each.at.timestamp()) * 1000),
                ),
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
            if any(self.run(each).values()):
                waits = held_back(self.workspace, self.pipeline.steps, [each])
                record_held_back(self.workspace, {each: waits.get(each, ())})
        return list(due.ready)

    def made(self, step: str = "totals") -> list[Partition]:
        return self.lake.partitions(step)

    def totals(self) -> dict[str, list[tuple[str, int, int]]]:
        """Return the number of the events of each group, and the highest value, by day and in order."""
        rows = {each.key: rows_of(self.lake, "totals", each.key) for each in self.made()}
        return {
            day: [(row["event_id"], row["number"], row["highest"]) for row in of_day] for day, of_day in rows.items()
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
    one_by_one = [[each] for each in days]
    for order in ([days], one_by_one, one_by_one[::-1], [days[4:], days[2:4], days[:2]]):
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


def test_reader_waits_while_another_run_is_about_to_make_what_was_held_back(lake: Lake) -> None:
    """GIVEN the day before was made since a step was held back WHEN its reader runs THEN it waits, too."""
    world, days = World(lake, declared()), days_of(2)
    world.land(events_of(0, 1))
    world.close(days[-1])
    world.run(days[0])
    run_step(world.workspace, "conform", days[1].key)

    assert run_step(world.workspace, "ranked", days[1].key)["held_back"] == 1
    assert held_back(world.workspace, [world.pipeline.step("ranked")], days) == {days[1]: (("totals", days[1]),)}


def test_late_data_rebuilds_days_until_a_state_comes_out_as_it_was(
    lake: Lake, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a step that carries the highest value WHEN a late value is passed the day after THEN it ends there."""
    declare("toy", {"contract": CONTRACT, "steps": STEPS.replace("events + 1, max", "0, max")})
    world, days = World(lake, declared()), days_of(6)
    world.land([Event(f"e-{day}", day * 24 + 1, value=day + 3) for day in range(6)])
    world.close(days[-1])
    world.run(*days)
    before = world.manifests()

    world.land([Event("late", 2, value=5)])
    with calls_of(monkeypatch) as called:
        world.run(days[0])
        world.run(*days)

    now = world.manifests()
    assert called == ["2013-01-01", "2013-01-02", "2013-01-03"]
    assert {place for place, found in now.items() if found != before[place]} == {
        ("conform", days[0].key),
        *(("totals", each.key) for each in days[:3]),
        *(("ranked", each.key) for each in days[:3]),
    }
    # The third day has read another state, and holds what it did.
    assert now["totals", days[2].key][0] == before["totals", days[2].key][0]


def test_state_that_changes_alone_runs_no_reader_of_the_rows(lake: Lake, declare: Declare) -> None:
    """GIVEN a step whose rows do not show its state WHEN the state of a day changes THEN its readers do not run."""
    hidden = STEPS.replace("event.event_time, *known[event.group]", "event.event_time, 0, 0")
    declare("toy", {"contract": CONTRACT, "steps": hidden})
    world, days = World(lake, declared()), days_of(4)
    world.land(events_of(0, 1, 2, 3))
    world.close(days[-1])
    world.run(*days)
    before = world.manifests()

    world.land([Event("late", 2)])
    world.run(days[0])

    now = world.manifests()
    changed = {place for place, found in now.items() if found != before[place]}
    assert changed == {
        ("conform", days[0].key),
        *(("totals", each.key) for each in days),
        *(("ranked", each.key) for each in days[:2]),  # the second looks back on the first, which has a row more
    }
    digests = [manifest_json(lake, "totals", each.key)["files"] for each in days[1:]]
    assert [each[0]["key"] for each in digests] == [before["totals", each.key][0][0] for each in days[1:]]


def test_late_data_of_a_day_reaches_the_last_one(lake: Lake) -> None:
    world, days = World(lake, declared()), days_of(8)
    events = events_of(*range(8))
    world.land(events)
    world.close(days[-1])
    world.run(*days)

    late = Event("late", 50, "h", 99)
    world.land([late], copies=2)
    world.dispatch()

    assert world.totals() == expected([*events, late], days)
    assert world.dispatch() == []
    assert world.run(*days) == {"conform": 0, "totals": 0, "ranked": 0}


def test_gap_passes_the_state_on(lake: Lake) -> None:
    world, days = World(lake, declared()), days_of(60)
    some = [0, 1, 5, 30, 59]
    events = events_of(*some)
    world.land(events)
    long_after = replace(lake, now=lambda: datetime(2023, 1, 1, tzinfo=UTC))
    close_source(long_after, world.pipeline, EVENTS, ALL_LANDED)

    assert world.dispatch() == [days[each] for each in some]
    assert world.totals() == expected(events, world.made())
    assert world.made() == [days[each] for each in some]

    late = [Event("late", 20 * 24, "g", 70)]
    world.land(late)
    close_source(long_after, world.pipeline, EVENTS, ALL_LANDED)
    assert world.dispatch() == [days[20]]
    assert world.made() == [days[each] for each in sorted([*some, 20])]
    assert world.totals() == expected([*events, *late], world.made())


def test_drop_that_is_missing_holds_back_all_later_days_until_it_lands(lake: Lake) -> None:
    world, days = World(lake, declared(Input("conform"), Input("weather"))), days_of(6)
    events = events_of(*range(6))
    world.land(events)
    world.close(days[-1])
    world.drop(*days[:2], *days[3:])

    assert world.dispatch() == [*days[:2], *days[3:], days[2]]
    assert (world.made("conform"), world.made(), world.made("ranked")) == (days, days[:2], days[:2])
    waits = held_back(world.workspace, [world.pipeline.step("totals")], days)
    assert waits == {
        days[2]: (("weather", days[2]),),
        days[3]: (("weather", days[2]),),
        **{days[n]: (("totals", days[n - 1]),) for n in (4, 5)},
    }
    assert world.dispatch() == []

    world.drop(days[2])
    assert world.dispatch()[0] == days[2]
    assert world.made("ranked") == days
    assert world.totals() == expected(events, days)
    while world.dispatch():
        pass


def test_failure_holds_back_what_comes_after_it_and_nothing_before(lake: Lake, declare: Declare) -> None:
    world, days = World(lake, declared()), days_of(5)
    events = events_of(*range(5))
    bad = Event("bad", 2 * 24 + 3, value=666)
    world.land([*events, bad])
    world.close(days[-1])

    with pytest.raises(SluiceError, match=r"step 'totals' of toy failed on dt=2013-01-03: ValueError: no such value"):
        world.run(*days)
    assert world.made() == days[:2]
    assert held_back(world.workspace, [world.pipeline.step("totals")], [days[4]]) == {days[4]: (("totals", days[3]),)}
    assert world.run(days[4]) == {"conform": 0, "totals": 1, "ranked": 1}

    declare("toy", {"contract": CONTRACT, "steps": STEPS.replace("== 666", "== 667")})
    world.run(*days[:3])
    assert world.made("ranked") == days
    assert world.totals() == expected([*events, bad], days)


@pytest.mark.parametrize("ahead", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_run_of_the_newest_day_costs_the_same_with_any_history(worlds: Callable[..., World], ahead: int) -> None:
    """P15: three days of history, and three hundred."""
    costs = []
    for number in (3, 300):
        world, days = worlds(declared(Input("conform", look_ahead=ahead))), days_of(number + 1)
        world.land([Event(f"e-{day}", day * 24) for day in range(number + 1)])
        world.close(days[-2])
        world.run(*days[:-1])
        world.close(days[-1])
        with counted(world.lake.bucket) as calls:
            world.run(days[-1])
        costs.append(dict(calls))
        assert world.made() == (days[:-1] if ahead else days)

    assert costs[0] == costs[1]


def test_gap_costs_some_listings_however_long_it_is(worlds: Callable[..., World]) -> None:
    """P15: nothing of the history before the gap is read either."""
    costs = []
    for number, gap in ((3, 300), (20, 300), (3, 3000)):
        world, days = worlds(), days_of(number + gap + 1)
        world.land([Event(f"e-{day}", day * 24) for day in [*range(number), number + gap]])
        close_source(
            replace(world.lake, now=lambda: datetime(2043, 1, 1, tzinfo=UTC)), world.pipeline, EVENTS, ALL_LANDED
        )
        world.run(*days[:number])
        with counted(world.lake.bucket) as calls:
            world.run(days[-1])
        costs.append(dict(calls))
        assert world.totals()[days[-1].key] == [(f"e-{number + gap}", number + 1, 1)]

    assert costs[0] == costs[1]
    assert costs[2]["list"] - costs[0]["list"] <= 8
    assert {**costs[2], "list": 0} == {**costs[0], "list": 0}


@pytest.mark.timeout(300)
@settings(
    max_examples=12, suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture]
)
@given(turns=st.permutations([day for day in range(4) for _ in range(3)]))
def test_runs_whose_steps_take_turns_in_any_way_make_everything(worlds: Callable[..., World], turns: list[int]) -> None:
    """GIVEN four runs of a day each, which go step by step WHEN they end THEN nothing waits for one more run."""
    world, days, events = worlds(), days_of(4), events_of(0, 1, 2, 3)
    world.land(events)
    world.close(days[-1])
    steps = {day: iter(world.pipeline.steps) for day in range(4)}

    for day in turns:
        run_step(world.workspace, next(steps[day]).name, days[day].key)

    assert world.totals() == expected(events, days)
    assert world.made("ranked") == days
    manifests = world.manifests()
    world.run(*days)
    assert world.manifests() == manifests


def test_runs_at_once_give_what_one_run_gives(worlds: Callable[..., World]) -> None:
    """GIVEN runs of neighbouring days at once, first of all events but one, and then with that one."""
    days, events = days_of(6), events_of(*range(6))
    late, found = events[4], []
    for at_once in (True, False):
        world = worlds()
        world.land(each for each in events if each != late)
        world.close(days[-1])
        for more in ([], [late]):
            world.land(more, copies=2)
            with ThreadPoolExecutor(len(days)) as pool:
                list(pool.map(world.run, days) if at_once else [world.run(*days)])
        found.append(world.manifests())

    assert found[0] == found[1]
    assert world.totals() == expected(events, days)


KILLED = """
import os, signal, sys
from itertools import count

import boto3
import pipelines
from sluice.lake.objects import Bucket
from sluice.lake.store import Lake
from sluice.steps.runner import run_step
from tests.draining import workspace_of
from tests.sluice.steps.test_steps_state import declared

folder, endpoint, bucket, ranges, most = sys.argv[1:]
pipelines.__path__.append(folder)
puts, put = count(), Bucket._put

def put_or_die(self, *arguments):
    if next(puts) == int(most):
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, *arguments)

Bucket._put = put_or_die
lake = Lake(boto3.client("s3", endpoint_url=endpoint), bucket, "toy")
run_step(workspace_of(lake, declared()), "totals", ranges)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_run_that_is_killed_at_any_put_is_finished_by_the_next_one(lake: Lake, cloud: Cloud, declare: Declare) -> None:
    """SIGKILL of a worker that rebuilds a chain: what it has committed counts, and nothing is lost or counted twice."""
    folder = declare("toy", {"contract": CONTRACT, "steps": STEPS}).parent
    world, days, events = World(lake, declared()), days_of(2), events_of(0, 1)
    world.land(events)
    world.close(days[-1])
    world.run(*days)
    for put in count():
        events.append(Event(f"late-{put}", 6 + put, "g", 77 + put))
        world.land(events[-1:])
        run_step(world.workspace, "conform", days[0].key)
        arguments = [str(folder), cloud.endpoint_url, lake.bucket, days[0].key, str(put)]
        environment = {**os.environ, **cloud.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment, check=False).returncode

        world.run(days[0])
        assert world.totals() == expected(events, days)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert put >= 3 * len(days)  # rows, a state and a manifest of each day
