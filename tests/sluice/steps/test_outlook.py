"""What a run would do is said before, with the reason: exactly what it then does."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import keys_below, partition, put_raw
from tests.sluice.toy import DROPS, EVENTS, MODULES, STEPS, message, reading, toy

from sluice.declaration.steps import Input, Step
from sluice.errors import DeclarationError
from sluice.lake.look import Look
from sluice.lake.partitions import Partition, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import Observed
from sluice.sources.drops.land import land_drops
from sluice.sources.ingest import land_partitions
from sluice.steps.outlook import outlook
from sluice.steps.reasons import describe_reasons
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

DAYS = [partition(f"2013-01-{day:02d}") for day in range(1, 5)]
ALL = format_ranges(DAYS)
JOINED = """
def joined(conform, weather, weather_before):
    return conform.assign(degrees=len(weather) + len(weather_before))

def ahead(joined, joined_after):
    return joined.assign(coming=len(joined_after))
"""


def put_day(lake: Lake, day: Partition, *values: int, state: str = "closed") -> None:
    key = day.key.removeprefix("dt=")
    bodies = [reading(f"r-{key}-{n}", f"{key}T07:00:00+00:00", value) for n, value in enumerate(values)]
    put_raw(lake, EVENTS, key, [message(body, n + 1) for n, body in enumerate(bodies)], state=state)


def drop_weather(lake: Lake, day: Partition, rows: str = "1\n") -> None:
    lake.put(f"drops/weather/{day.key}/day.csv", f"degrees\n{rows}".encode())
    lake.put(f"drops/weather/{day.key}/_SUCCESS", b"")


def run(workspace: Workspace, ranges: str = ALL) -> None:
    land_partitions(workspace, ranges)
    for step in workspace.pipeline.steps:
        run_step(workspace, step.name, ranges)


def plans(workspace: Workspace, *days: Partition) -> list[tuple[str, str, str, str]]:
    """Return what has something to do, in rows of the same reasons: step, partitions, verdict and reasons."""
    rows: dict[Any, list[Partition]] = defaultdict(list)
    for each in outlook(workspace, days or None):
        if each.verdict != "is done":
            rows[each.step, each.verdict, each.reasons].append(each.partition)
    return [
        (step, format_ranges(partitions), verdict, describe_reasons(reasons, partitions))
        for (step, verdict, reasons), partitions in rows.items()
    ]


@pytest.fixture
def joining(workspace: Workspace, declare: Declare) -> Workspace:
    """The pipeline with a step that reads the weather of its day and of the day before."""
    declare("toy", {**MODULES, "steps": STEPS + JOINED})
    joined = Step("joined", run="steps:joined", reads=(Input("conform"), Input("weather", look_back=1)))
    return replace(workspace, pipeline=toy(steps=(toy().step("conform"), joined), training=None, deployment=None))


def test_partitions_that_were_never_made_run(workspace: Workspace) -> None:
    put_day(workspace.lake, DAYS[0], 1)
    put_day(workspace.lake, DAYS[2], 1)

    expected = [
        (step, "dt=2013-01-01,dt=2013-01-03", "runs", "never made") for step in ("conform", "doubled", "running")
    ]
    assert plans(workspace) == expected
    run(workspace, "dt=2013-01-01")
    run(workspace, "dt=2013-01-03")
    assert plans(workspace) == []
    assert plans(workspace, DAYS[0], DAYS[2]) == []


def test_changed_input_is_named_and_what_follows_may_run(workspace: Workspace) -> None:
    for day in DAYS:
        put_day(workspace.lake, day, 1)
    run(workspace)
    put_day(workspace.lake, DAYS[1], 1, 2)
    keys = keys_below(workspace.lake, "")

    expected = [
        ("conform", "dt=2013-01-02", "runs", "raw/events/dt=2013-01-02 has changed"),
        ("doubled", "dt=2013-01-02", "may run", "conform/dt=2013-01-02 is made first"),
        ("running", "dt=2013-01-02", "may run", "doubled/dt=2013-01-02 is made first"),
        ("running", "dt=2013-01-03", "may run", "doubled/dt=2013-01-02 is made first"),
    ]
    assert plans(workspace) == expected
    assert plans(workspace, DAYS[1]) == expected
    assert plans(workspace, DAYS[0], DAYS[3]) == []
    assert keys_below(workspace.lake, "") == keys

    run_step(workspace, "conform", "dt=2013-01-02")

    assert plans(workspace)[0] == ("doubled", "dt=2013-01-02", "runs", "conform/dt=2013-01-02 has changed")


def test_changed_code_is_named_by_its_part(workspace: Workspace, declare: Declare) -> None:
    for day in DAYS:
        put_day(workspace.lake, day, 1)
    run(workspace)
    declare("toy", {**MODULES, "steps": STEPS.replace('conform["value"] * 2', 'conform["value"] * 3')})

    code = "code: doubled in pipelines.toy.steps"
    assert plans(workspace) == [
        ("doubled", ALL, "runs", code),
        ("running", ALL, "runs", code),
    ]
    run(workspace)
    assert plans(workspace) == []


def test_code_that_no_record_describes_is_said_to_be_unknown(workspace: Workspace, declare: Declare) -> None:
    """As in a lake that an earlier release has written."""
    put_day(workspace.lake, DAYS[0], 1)
    run_step(workspace, "conform", "dt=2013-01-01")
    for key in keys_below(workspace.lake, "toy/code/"):
        workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=key)
    declare("toy", {**MODULES, "contract": MODULES["contract"] + "MORE = 1\n"})

    assert plans(workspace)[0] == (
        "conform", "dt=2013-01-01", "runs", "code: all of it: what made the partition is not on record"
    )  # fmt: skip


def test_partition_that_is_not_complete_waits_and_so_does_what_reads_it(workspace: Workspace) -> None:
    put_day(workspace.lake, DAYS[0], 1)
    put_day(workspace.lake, DAYS[1], 1, state="open")
    run(workspace, "dt=2013-01-01")

    waits = "waits for raw/events/dt=2013-01-02"
    assert plans(workspace) == [(step, "dt=2013-01-02", "waits", waits) for step in ("conform", "doubled", "running")]


def test_drop_is_told_apart_that_is_missing_that_lands_first_and_that_was_overwritten(joining: Workspace) -> None:
    lake = joining.lake
    for day in DAYS:
        put_day(lake, day, 1)
    for day in DAYS[:2]:
        drop_weather(lake, day)
    run(joining)
    third, fourth = (f"waits for raw/weather/{day.key}" for day in DAYS[2:])
    assert plans(joining) == [
        ("joined", "dt=2013-01-03", "waits", third),
        ("joined", "dt=2013-01-04", "waits", f"{third}; {fourth}"),
    ]

    drop_weather(lake, DAYS[2])
    drop_weather(lake, DAYS[0], "1\n2\n")
    assert plans(joining) == [
        ("joined", "dt=2013-01-01", "may run", "raw/weather/dt=2013-01-01 lands first, if it is complete"),
        ("joined", "dt=2013-01-02", "may run", "raw/weather/dt=2013-01-01 lands first, if it is complete"),
        ("joined", "dt=2013-01-03", "runs", "never made; raw/weather/dt=2013-01-03 lands first, if it is complete"),
        ("joined", "dt=2013-01-04", "waits", fourth),
    ]

    land_drops(lake, DROPS, [DAYS[0]])
    assert plans(joining)[0] == ("joined", "dt=2013-01-01", "runs", "raw/weather/dt=2013-01-01 has changed")
    run(joining)
    assert plans(joining) == [("joined", "dt=2013-01-04", "waits", fourth)]


def test_partition_outside_of_start_and_end_is_planned_if_it_is_asked_for_or_was_made(
    workspace: Workspace,
) -> None:
    early = partition("2012-12-31")
    put_day(workspace.lake, early, 1)

    assert plans(workspace) == []
    assert plans(workspace, early)[0] == ("conform", "dt=2012-12-31", "runs", "never made")
    run(workspace, early.key)
    put_day(workspace.lake, early, 2)
    assert plans(workspace)[0] == ("conform", "dt=2012-12-31", "runs", "raw/events/dt=2012-12-31 has changed")


def test_code_that_does_not_exist_is_named(workspace: Workspace) -> None:
    nowhere = Step("doubled", run="nowhere:doubled", reads=(Input("conform"),))
    broken = replace(workspace, pipeline=toy(steps=(toy().step("conform"), nowhere), training=None, deployment=None))

    with pytest.raises(DeclarationError, match=r"there is no module pipelines\.toy\.nowhere"):
        outlook(broken)


def looking_ahead(joining: Workspace) -> Workspace:
    ahead = Step("ahead", run="steps:ahead", reads=(Input("joined", look_ahead=1),))
    return replace(joining, pipeline=replace(joining.pipeline, steps=(*joining.pipeline.steps, ahead)))


def test_partition_that_looks_ahead_names_what_it_waits_for_and_which_run_makes_it(joining: Workspace) -> None:
    ahead = looking_ahead(joining)
    for day in DAYS[:3]:
        put_day(ahead.lake, day, 1)
        drop_weather(ahead.lake, day)
    run(ahead, format_ranges(DAYS[:3]))

    fourth = "dt=2013-01-04"
    assert plans(ahead) == [
        ("ahead", "dt=2013-01-03", "waits", f"waits for raw/events/{fourth}; waits for raw/weather/{fourth}")
    ]
    put_day(ahead.lake, DAYS[3], 1)
    drop_weather(ahead.lake, DAYS[3])
    assert plans(ahead, DAYS[3])[2:] == [
        ("ahead", "dt=2013-01-03", "runs", "never made"),
        ("ahead", fourth, "waits", "waits for raw/events/dt=2013-01-05; waits for raw/weather/dt=2013-01-05"),
    ]
    awaited = f"waits for conform/{fourth}; waits for raw/weather/{fourth}"
    assert plans(ahead, DAYS[2]) == [("ahead", "dt=2013-01-03", "waits", awaited)]
    land_partitions(ahead, fourth)
    assert plans(ahead, DAYS[2]) == [("ahead", "dt=2013-01-03", "waits", f"waits for conform/{fourth}")]
    run(ahead, fourth)
    put_day(ahead.lake, DAYS[2], 1, 2)
    run_step(ahead, "conform", "dt=2013-01-03")
    run_step(ahead, "joined", "dt=2013-01-03")
    assert plans(ahead, DAYS[2]) == [
        ("ahead", "dt=2013-01-02", "runs", "joined/dt=2013-01-03 has changed"),
        ("ahead", "dt=2013-01-03", "runs", "joined/dt=2013-01-03 has changed"),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_run_does_what_was_said(joining: Workspace, declare: Declare, seed: int) -> None:
    """GIVEN any mix of late, open and missing events, of drops, and of code WHEN a run follows THEN it was foreseen."""
    drawn, joining = random.Random(seed), looking_ahead(joining)
    days = [partition(f"2013-01-{day:02d}") for day in range(1, 8)]
    for moment in range(3):
        for day in drawn.sample(days, 4):
            put_day(joining.lake, day, *drawn.choices(range(9), k=2), state=drawn.choice(("closed", "closed", "open")))
        for day in drawn.sample(days, 3):
            drop_weather(joining.lake, day, f"{drawn.randint(1, 3)}\n")
        more = f"VERSION = {drawn.randint(0, 1)}\n"
        declare("toy", {**MODULES, "steps": STEPS + JOINED + more})
        over = sorted(drawn.sample(days, drawn.randint(2, 7)))
        foreseen = {(each.step, each.partition): each.verdict for each in outlook(joining, over)}

        then = datetime(2014, 1, 1 + moment, tzinfo=UTC)
        run(replace(joining, lake=replace(joining.lake, now=lambda then=then: then)), format_ranges(over))

        made = {
            (step.name, manifest.time_partition(joining.lake.calendar))
            for step in joining.pipeline.steps
            for manifest in Look(joining.lake).manifests(step.name)
            if manifest.written_at == then
        }
        assert {each for each, verdict in foreseen.items() if verdict == "runs"} <= made
        assert made <= {each for each, verdict in foreseen.items() if verdict in ("runs", "may run")}


def test_gap_in_a_history_has_nothing_to_do_until_something_lands_in_it(joining: Workspace) -> None:
    lake, gap = joining.lake, partition("2013-01-07")
    put_day(lake, DAYS[0], 1)
    lake.put(lake.layout.observed("events"), Observed(since=gap.end).model_dump_json().encode())

    assert plans(joining, gap) == []
    drop_weather(lake, gap)
    said = plans(joining, gap)

    assert [each[:3] for each in said] == [(step, gap.key, "runs") for step in ("conform", "joined")]
    run(joining, gap.key)
    assert [lake.partitions(step) for step in ("conform", "joined")] == [[gap], [gap]]
    assert plans(joining, gap) == []


STATE = """
def total(conform, state):
    sums = conform.groupby("group", as_index=False)["value"].sum()
    after = sums if state.empty else pd.concat([state, sums]).groupby("group", as_index=False)["value"].sum()
    return conform.assign(total=int(after["value"].sum())), after

def after(total):
    return total
"""


def adding_up(workspace: Workspace, declare: Declare) -> Workspace:
    declare("toy", {**MODULES, "steps": STEPS + STATE})
    total = Step("total", run="steps:total", reads=(Input("conform"),), state_by="group")
    steps = (toy().step("conform"), total, Step("after", run="steps:after", reads=(Input("total"),)))
    return replace(workspace, pipeline=toy(steps=steps, training=None, deployment=None))


def test_changed_state_is_named_and_what_it_reaches_may_run(workspace: Workspace, declare: Declare) -> None:
    there = adding_up(workspace, declare)
    for day in DAYS:
        put_day(there.lake, day, 1)
    run(there, "dt=2013-01-01,dt=2013-01-03")
    assert [each for each in plans(there, DAYS[2]) if each[0] != "conform"] == [
        ("total", "dt=2013-01-03", "waits", "waits for total/dt=2013-01-02"),
        ("after", "dt=2013-01-03", "waits", "waits for total/dt=2013-01-02"),
    ]
    run(there)
    assert plans(there, *DAYS) == []

    put_day(there.lake, DAYS[0], 1, 2)
    run_step(there, "conform", DAYS[0].key)
    assert plans(there, DAYS[0])[:2] == [
        ("total", "dt=2013-01-01", "runs", "conform/dt=2013-01-01 has changed"),
        ("total", "dt=2013-01-02..dt=2013-01-04", "may run", "the state before it is made first"),
    ]
    kept = there.lake.manifest("total", DAYS[1])
    assert kept is not None
    run_step(there, "total", DAYS[0].key)
    # As if another run had written the second day from the former state of the first one.
    there.lake.update_manifest("total", DAYS[1], lambda _: kept)
    changed = "the state before it has changed"
    assert plans(there, DAYS[1])[0] == ("total", "dt=2013-01-02..dt=2013-01-03", "runs", changed)
