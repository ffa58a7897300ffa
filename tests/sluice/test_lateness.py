"""What is late is listed with what it waits for, and nothing else is: also what late data has left behind."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import WRITTEN, keys_below, manifest_json, partition, put_raw
from tests.sluice.toy import EVENTS, MODULES, STEPS, message, reading, toy

from sluice.cli.state import pipeline_answer
from sluice.declaration.steps import Input, Step
from sluice.lake.partitions import Partition, format_ranges
from sluice.landing.closing import Observed
from sluice.lateness import describe_late, group_late, in_words, late_partitions
from sluice.sources.ingest import land_partitions
from sluice.status import pipeline_status
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

DAYS = [partition(f"2013-01-{day:02d}") for day in range(1, 5)]
ALL = format_ranges(DAYS)
JOINED = """
def joined(conform, weather, weather_before):
    return conform.assign(degrees=len(weather) + len(weather_before))
"""


def at(workspace: Workspace, now: datetime) -> Workspace:
    """Return the workspace as it is at another time."""
    return replace(workspace, lake=replace(workspace.lake, now=lambda: now))


@pytest.fixture
def joining(workspace: Workspace, declare: Declare) -> Workspace:
    """Four days of a pipeline with a step that also looks back on drops; two hours after late data was written."""
    declare("toy", {**MODULES, "steps": STEPS + JOINED})
    joined = Step("joined", run="steps:joined", reads=(Input("conform"), Input("weather", look_back=1)))
    declared = toy(
        steps=(toy().step("conform"), joined), training=None, deployment=None, end=datetime(2013, 1, 4, tzinfo=UTC)
    )
    return at(replace(workspace, pipeline=declared), WRITTEN + timedelta(hours=2))


def put_day(workspace: Workspace, day: Partition, *values: int) -> None:
    key = day.key.removeprefix("dt=")
    bodies = [reading(f"r-{key}-{n}", f"{key}T07:00:00+00:00", value) for n, value in enumerate(values)]
    put_raw(workspace.lake, EVENTS, key, [message(body, n + 1) for n, body in enumerate(bodies)])


def drop_weather(workspace: Workspace, day: Partition) -> None:
    workspace.lake.put(f"drops/weather/{day.key}/day.csv", b"degrees\n1\n")
    workspace.lake.put(f"drops/weather/{day.key}/_SUCCESS", b"")


def run(workspace: Workspace, ranges: str = ALL) -> None:
    land_partitions(workspace, ranges)
    for step in workspace.pipeline.steps:
        run_step(workspace, step.name, ranges)


def listed(workspace: Workspace) -> list[tuple[str, str, str, str, str]]:
    """Return what `sluice late` shows: steps, partitions, late by, what, and why."""
    now = workspace.lake.now()
    return [
        (",".join(each.steps), format_ranges(each.partitions), in_words(now - each.since), each.what, each.why)
        for each in group_late(workspace, late_partitions(workspace))
    ]


def test_what_was_never_made_and_what_waits_is_listed_until_it_is_made(joining: Workspace) -> None:
    for day in DAYS:
        put_day(joining, day, 1)
        if day != DAYS[2]:
            drop_weather(joining, day)
    keys = keys_below(joining.lake, "")
    awaited = "toy/weather dt=2013-01-03: no _SUCCESS under drops/weather/dt=2013-01-03/"
    first, third = "364 d 1 h", "362 d 1 h"  # an hour of lateness after the end of the day

    waits = ("joined", "dt=2013-01-03..dt=2013-01-04", third, "waits", awaited)
    assert listed(joining) == [
        ("conform", ALL, first, "not made", "never made"),
        ("joined", "dt=2013-01-01..dt=2013-01-02", first, "not made", "never made"),
        waits,
    ]
    assert keys_below(joining.lake, "") == keys
    run(joining)
    assert listed(joining) == [waits]
    drop_weather(joining, DAYS[2])
    run(joining)
    assert listed(joining) == []


def test_late_data_that_a_step_has_not_read_is_listed_since_it_has_come(joining: Workspace, declare: Declare) -> None:
    for day in DAYS:
        put_day(joining, day, 1)
        drop_weather(joining, day)
    run(joining)
    put_day(joining, DAYS[1], 1, 2)
    day = "dt=2013-01-02"

    assert listed(joining) == [("conform,joined", day, "2 h 0 min", "outdated", f"raw/events/{day} has changed")]

    run_step(at(joining, WRITTEN + timedelta(minutes=90)), "conform", day)
    assert listed(joining) == [("joined", day, "30 min", "outdated", f"conform/{day} has changed")]
    declare("toy", {**MODULES, "steps": STEPS + JOINED + "MORE = 1\n"})
    assert len(listed(joining)) == 1  # code that has changed makes nothing late
    run(joining, day)
    assert listed(joining) == []


def test_late_data_is_named_also_where_a_step_looks_back_on_what_read_it(workspace: Workspace) -> None:
    late = at(replace(workspace, pipeline=toy(end=DAYS[3].start)), WRITTEN + timedelta(hours=1))
    for day in DAYS:
        put_day(late, day, 1)
    run(late)
    put_day(late, DAYS[1], 2)

    changed = "raw/events/dt=2013-01-02 has changed"
    assert listed(late) == [
        ("conform,doubled,running", "dt=2013-01-02", "1 h 0 min", "outdated", changed),
        ("running", "dt=2013-01-03", "1 h 0 min", "outdated", changed),
    ]


def test_late_data_is_named_where_a_state_reaches(workspace: Workspace, declare: Declare) -> None:
    """GIVEN late data of a day WHEN a step has a state THEN all days after it are outdated, for one reason."""
    total = """
def total(conform, state):
    sums = conform.groupby("group", as_index=False)["value"].sum()
    return conform, sums if state.empty else pd.concat([state, sums]).groupby("group", as_index=False)["value"].sum()
"""
    declare("toy", {**MODULES, "steps": STEPS + total})
    step = Step("total", run="steps:total", reads=(Input("conform"),), state_by="group")
    declared = toy(steps=(toy().step("conform"), step), training=None, deployment=None, end=DAYS[3].start)
    late = at(replace(workspace, pipeline=declared), WRITTEN + timedelta(hours=1))
    for day in DAYS:
        put_day(late, day, 1)
    run(late, format_ranges(DAYS[1:]))
    assert [each[:2] + each[3:] for each in listed(late)] == [
        ("conform", "dt=2013-01-01", "not made", "never made"),
        ("total", ALL, "not made", "never made"),
    ]
    run(late)
    put_day(late, DAYS[1], 2)

    assert listed(late) == [
        ("conform,total", "dt=2013-01-02", "1 h 0 min", "outdated", "raw/events/dt=2013-01-02 has changed"),
        ("total", "dt=2013-01-03..dt=2013-01-04", "1 h 0 min", "outdated", "the state before it is outdated"),
    ]
    run(late, DAYS[1].key)
    assert listed(late) == []


def test_partition_that_was_made_without_one_before_it_names_it(workspace: Workspace) -> None:
    late = at(replace(workspace, pipeline=toy(end=DAYS[1].start)), WRITTEN + timedelta(hours=1))
    put_day(late, DAYS[1], 1)
    run(late, "dt=2013-01-02")
    put_day(late, DAYS[0], 1)

    assert [each[1:2] + each[3:] for each in listed(late)] == [
        ("dt=2013-01-01", "not made", "never made"),
        ("dt=2013-01-02", "outdated", "doubled/dt=2013-01-01 is not made"),
    ]


def test_overwritten_drop_that_has_not_landed_is_listed(joining: Workspace) -> None:
    for day in DAYS:
        put_day(joining, day, 1)
        drop_weather(joining, day)
    run(joining)
    joining.lake.put(f"drops/weather/{DAYS[3].key}/day.csv", b"degrees\n1\n2\n")

    day = "dt=2013-01-04"
    assert listed(joining) == [("joined", day, "0 min", "outdated", f"raw/weather/{day} has not landed as it is now")]
    run(joining, day)
    assert listed(joining) == []


def test_partition_is_late_once_its_end_and_the_lateness_of_its_sources_are_over(joining: Workspace) -> None:
    put_day(joining, DAYS[0], 1)
    declared = replace(joining.pipeline, sources=(replace(EVENTS, lateness=timedelta(hours=3)), *toy().sources[1:]))

    def late_at(hour: int, minute: int = 0) -> list[tuple[str, timedelta]]:
        now = datetime(2013, 1, 2, hour, minute, tzinfo=UTC)
        found = late_partitions(at(replace(joining, pipeline=declared), now))
        return [(each.step, now - each.since) for each in found]

    assert late_at(2, 59) == []
    assert late_at(3) == [("conform", timedelta(0)), ("joined", timedelta(0))]
    assert late_at(5) == [("conform", timedelta(hours=2)), ("joined", timedelta(hours=2))]


def test_time_for_which_nothing_has_come_is_late_unless_it_is_empty_by_rule(joining: Workspace) -> None:
    """From the first partition on that has something, up to the pipeline's end."""
    put_day(joining, DAYS[1], 1)
    for day in DAYS[:2]:
        drop_weather(joining, day)
    run(joining, "dt=2013-01-01..dt=2013-01-02")

    gap = "dt=2013-01-03..dt=2013-01-04"
    assert listed(joining)[-2:] == [
        ("conform", gap, "362 d 1 h", "waits", "nothing of events has arrived"),
        ("joined", gap, "362 d 1 h", "waits", "nothing of events, weather has arrived"),
    ]
    assert [each.partition for each in late_partitions(at(joining, datetime(2013, 1, 4, 1, tzinfo=UTC)))][-1] == DAYS[2]

    observed = Observed(since=DAYS[3].start)
    joining.lake.put(joining.lake.layout.observed("events"), observed.model_dump_json().encode())
    assert {each.partition for each in late_partitions(joining)} == {DAYS[0], DAYS[3]}


def test_hours_are_late_as_days_are(workspace: Workspace) -> None:
    hours = [partition(f"2013-01-01/hour={hour:02d}") for hour in (7, 8)]
    pipeline = toy(every="hour", end=hours[1].start, training=None, deployment=None)
    divided = replace(workspace, pipeline=pipeline, lake=replace(workspace.lake, calendar=pipeline.calendar))
    hourly = at(divided, WRITTEN + timedelta(hours=1))
    for hour in hours:
        put_raw(hourly.lake, EVENTS, hour.key.removeprefix("dt="), [message(reading("r", hour.start))])
    run(hourly, format_ranges(hours))
    put_raw(hourly.lake, EVENTS, "2013-01-01/hour=07", [message(reading("r", hours[0].start, 9))])

    changed = "raw/events/dt=2013-01-01/hour=07 has changed"
    assert listed(hourly) == [
        ("conform,doubled,running", "dt=2013-01-01/hour=07", "1 h 0 min", "outdated", changed),
        ("running", "dt=2013-01-01/hour=08", "1 h 0 min", "outdated", changed),
    ]


def test_partition_that_looks_ahead_is_late_once_what_it_looks_ahead_on_is(
    workspace: Workspace, declare: Declare
) -> None:
    """GIVEN three closed days WHEN time goes on THEN the last one waits, and is not late before it can be made."""
    declare("toy", {**MODULES, "steps": STEPS + "def ahead(doubled, doubled_after): return doubled"})
    ahead = Step("ahead", run="steps:ahead", reads=(Input("doubled", look_ahead=1),))
    declared = toy(sources=(EVENTS,), steps=(*toy().steps[:2], ahead), training=None, deployment=None)
    ahead_too = replace(workspace, pipeline=declared)
    for day in DAYS[:3]:
        put_day(ahead_too, day, 1)
    run(ahead_too, format_ranges(DAYS[:3]))

    def late_at(day: int, hour: int, minute: int = 0, **changes: Any) -> list[tuple[str, str, str]]:
        now = datetime(2013, 1, day, hour, minute, tzinfo=UTC)
        there = at(replace(ahead_too, pipeline=replace(declared, **changes)), now)
        return [(steps, days, why) for steps, days, _, _, why in listed(there) if "ahead" in steps]

    awaited = "toy/events dt=2013-01-04: no event has arrived in it, and nothing proves yet that none will"
    assert late_at(5, 0, 59) == []
    assert late_at(5, 1) == [("ahead", "dt=2013-01-03", awaited)]
    assert late_at(9, 0, end=DAYS[2].start) == [("ahead", "dt=2013-01-03", "never made")]
    assert late_at(4, 0, 59, end=DAYS[2].start) == []

    put_day(ahead_too, DAYS[3], 1)
    run_step(ahead_too, "conform", DAYS[3].key)
    assert late_at(5, 1) == [("ahead", "dt=2013-01-03", "never made")]
    run(ahead_too, DAYS[3].key)
    assert late_at(5, 1) == []


def test_pipeline_for_which_nothing_has_come_yet_is_not_late(joining: Workspace) -> None:
    assert late_partitions(joining) == []
    assert describe_late(joining.pipeline, [], WRITTEN) == "toy: nothing is late"


def test_status_says_in_one_line_what_is_late(joining: Workspace) -> None:
    put_day(joining, DAYS[0], 1)
    put_day(joining, DAYS[3], 1)
    run_step(joining, "conform", "dt=2013-01-01")

    status = pipeline_status(joining)

    line = f"toy: {ALL} are late, by up to 364 d 1 h; `sluice late toy` says why"
    assert status.late == line
    assert line in pipeline_answer("toy", status).texts()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_late_is_exactly_what_a_run_changes(workspace: Workspace, seed: int) -> None:
    """GIVEN events that come late to random days THEN what is listed, run, is as if all had come in order."""
    drawn = random.Random(seed)
    days = [partition(f"2013-01-{day:02d}") for day in range(1, 13)]
    declared = toy(training=None, deployment=None, end=days[-1].start)
    there = at(replace(workspace, pipeline=declared), WRITTEN + timedelta(minutes=1))
    for day in days:
        put_day(there, day, 1, 2)
    run(there, format_ranges(days))
    made = contents(there, days)

    changed = drawn.sample(days, drawn.randint(1, 5))
    for day in changed:
        put_day(there, day, 1, 2, drawn.randint(3, 9))
    listed_days = {(each.step, each.partition) for each in late_partitions(there)}
    run(there, format_ranges({day for _, day in listed_days}))

    now = contents(there, days)
    assert listed_days == {each for each in made if made[each] != now[each]}
    assert {day for step, day in listed_days if step == "conform"} == set(changed)
    assert late_partitions(there) == []


def contents(workspace: Workspace, days: list[Partition]) -> dict[tuple[str, Partition], Any]:
    """Return the keys of the objects of each partition of each step."""
    return {
        (step.name, day): [file["key"] for file in manifest_json(workspace.lake, step.name, day.key)["files"]]
        for step in workspace.pipeline.steps
        for day in days
    }


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=59), "0 min"),
        (timedelta(minutes=61), "1 h 1 min"),
        (timedelta(hours=50, minutes=59), "2 d 2 h"),
    ],
)
def test_durations_are_in_words(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words
