"""A step that looks ahead waits for later partitions, which are named: a drop, an open one, one that is not made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.draining import ALL_LANDED, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import partition, put_raw, rows_of
from tests.sluice.toy import CONTRACT, DROPS, EVENTS, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.lake.partitions import Partition, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.sources.drops.land import land_drops
from sluice.steps.lacking import describe_held_back, held_back
from sluice.steps.runner import run_step

DAYS = [partition(f"2013-01-{day:02d}") for day in range(1, 9)]
BODIES = """
def forecast(conform, weather, weather_after):
    return conform.assign(degrees=len(weather), after=len(weather_after))

def labels(conform, conform_after):
    return conform.assign(label=len(conform_after), alike=bool((conform.dtypes == conform_after.dtypes).all()))

def further(labels, labels_before, labels_after):
    return labels.assign(before=len(labels_before), after=len(labels_after))

def plain(further):
    return further
"""
FORECAST = Step("forecast", "steps:forecast", (Input("conform"), Input("weather", look_ahead=2)))
LABELS = Step("labels", "steps:labels", (Input("conform", look_ahead=1),))
FURTHER = Step("further", "steps:further", (Input("labels", look_back=1, look_ahead=2),))
PLAIN = Step("plain", "steps:plain", (Input("further"),))


def declared(*steps: Step) -> Pipeline:
    sources = (EVENTS, DROPS) if FORECAST in steps else (EVENTS,)
    return toy(sources=sources, steps=(toy().step("conform"), *steps), training=None, deployment=None)


@pytest.fixture(autouse=True)
def modules(declare: Declare) -> None:
    declare("toy", {"contract": CONTRACT, "steps": BODIES})


def put_events(lake: Lake, *days: Partition, state: str = "closed") -> None:
    for day in days:
        key = day.key.removeprefix("dt=")
        put_raw(lake, EVENTS, key, [message(reading(f"r-{key}", f"{key}T07:00:00+00:00"))], state=state)


def land_weather(lake: Lake, *days: Partition) -> None:
    for day in days:
        lake.put(f"drops/weather/{day.key}/day.csv", b"degrees\n1\n")
        lake.put(f"drops/weather/{day.key}/_SUCCESS", b"")
        land_drops(lake, DROPS, [day])


def run_all(lake: Lake, pipeline: Pipeline, *days: Partition) -> None:
    for step in pipeline.steps:
        run_step(workspace_of(lake, pipeline), step.name, format_ranges(days))


def waits(lake: Lake, pipeline: Pipeline, *days: Partition) -> str:
    return describe_held_back(held_back(workspace_of(lake, pipeline), pipeline.steps, days))


def test_drop_of_a_later_day_that_is_missing_holds_back_what_looks_ahead_on_it(lake: Lake) -> None:
    pipeline = declared(FORECAST)
    put_events(lake, *DAYS)
    land_weather(lake, *DAYS[:4], *DAYS[5:])
    run_all(lake, pipeline, *DAYS)

    assert lake.partitions("forecast") == [*DAYS[:2], DAYS[5]]
    assert waits(lake, pipeline, *DAYS[:6]) == "dt=2013-01-03..dt=2013-01-05 waits for weather dt=2013-01-05"

    land_weather(lake, DAYS[4])
    run_all(lake, pipeline, DAYS[4])

    assert lake.partitions("forecast") == DAYS[:6]
    assert [row["after"] for day in DAYS[:6] for row in rows_of(lake, "forecast", day.key)] == [2] * 6


def test_of_what_comes_later_the_last_is_named(lake: Lake) -> None:
    """So partitions that wait for the same moment are listed as one range."""
    pipeline = declared(LABELS, FURTHER)
    put_events(lake, *DAYS[:5])
    run_all(lake, pipeline, *DAYS[:5])

    assert (
        waits(lake, pipeline, *DAYS[:5]) == "dt=2013-01-03..dt=2013-01-05 waits for events dt=2013-01-06..dt=2013-01-08"
    )
    assert held_back(workspace_of(lake, pipeline), [FURTHER], [DAYS[2]]) == {DAYS[2]: (("events", DAYS[5]),)}


def test_open_partition_holds_back_the_one_before_it_and_what_follows_is_made_by_its_run(lake: Lake) -> None:
    """GIVEN a step that looks ahead on one that looks ahead, and a plain one after them."""
    pipeline = declared(LABELS, FURTHER, PLAIN)
    put_events(lake, *DAYS[:5])
    put_events(lake, DAYS[5], state="open")
    for day in DAYS[:5]:
        run_all(lake, pipeline, day)
    run_all(lake, pipeline, DAYS[5])
    assert [lake.partitions(step) for step in ("labels", "further", "plain")] == [DAYS[:4], DAYS[:2], DAYS[:2]]

    put_events(lake, DAYS[5])
    run_all(lake, pipeline, DAYS[5])

    assert [lake.partitions(step) for step in ("labels", "further", "plain")] == [DAYS[:5], DAYS[:3], DAYS[:3]]
    assert [(row["before"], row["after"]) for day in DAYS[:3] for row in rows_of(lake, "plain", day.key)] == [
        (0, 2), (1, 2), (1, 2)
    ]  # fmt: skip


def test_step_that_has_not_made_a_later_partition_yet_is_waited_for(lake: Lake) -> None:
    pipeline = declared(LABELS)
    put_events(lake, *DAYS[:2])
    run_all(lake, pipeline, DAYS[0])

    assert lake.partitions("labels") == []
    assert waits(lake, pipeline, DAYS[0]) == "dt=2013-01-01 waits for conform dt=2013-01-02"

    run_all(lake, pipeline, DAYS[1])
    assert lake.partitions("labels") == DAYS[:1]


def test_run_of_a_later_day_makes_no_day_of_which_no_run_has_begun(lake: Lake) -> None:
    pipeline = declared(LABELS)
    put_events(lake, *DAYS[:3])

    run_all(lake, pipeline, DAYS[1])
    run_all(lake, pipeline, DAYS[2])

    assert [lake.partitions(step) for step in ("conform", "labels")] == [DAYS[1:3], DAYS[1:2]]


def test_without_a_later_row_the_columns_are_there(lake: Lake) -> None:
    """GIVEN the last day of a pipeline, and a day before a gap in a history."""
    put_events(lake, DAYS[0], DAYS[4], state="open")
    pipeline = replace(declared(LABELS), end=DAYS[4].start)
    close_source(replace(lake, now=lambda: datetime(2013, 2, 1, tzinfo=UTC)), pipeline, EVENTS, ALL_LANDED)

    run_all(lake, pipeline, DAYS[0])
    run_all(lake, pipeline, DAYS[4])

    rows = [row for day in (DAYS[0], DAYS[4]) for row in rows_of(lake, "labels", day.key)]
    assert [(row["label"], row["alike"]) for row in rows] == [(0, True)] * 2


def test_rows_that_are_there_after_the_end_count(lake: Lake) -> None:
    """Nothing after the end is waited for. What a run by hand has made there is read."""
    pipeline = replace(declared(LABELS), end=DAYS[1].start)
    put_events(lake, *DAYS[:3])

    run_all(lake, pipeline, *DAYS[:2])
    assert [rows_of(lake, "labels", day.key)[0]["label"] for day in DAYS[:2]] == [1, 0]

    run_all(lake, pipeline, DAYS[2])
    assert [rows_of(lake, "labels", day.key)[0]["label"] for day in DAYS[:3]] == [1, 1, 0]


def test_range_by_hand_also_makes_the_gap_before_rows_on_which_a_step_looks_ahead(lake: Lake) -> None:
    """As it makes the gap after rows on which a step looks back."""
    put_events(lake, DAYS[3], state="open")
    pipeline = declared(LABELS)
    close_source(replace(lake, now=lambda: datetime(2013, 2, 1, tzinfo=UTC)), pipeline, EVENTS, ALL_LANDED)

    run_all(lake, pipeline, *DAYS)

    assert lake.partitions("labels") == lake.partitions("conform") == DAYS[2:4]
    assert rows_of(lake, "labels", DAYS[2].key) == []
