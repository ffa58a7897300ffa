"""A history with gaps costs what exists: a partition for which no input has anything is not made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.draining import ALL_LANDED, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import put_raw, rows_of
from tests.sluice.toy import EVENTS, MODULES, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.errors import MissingResource
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.steps.runner import run_step

RANGE = "dt=2013-01-01..dt=2013-03-31"
STEPS = ("conform", "doubled", "running")


@pytest.fixture
def pipeline(declare: Declare) -> Pipeline:
    declare("toy", MODULES)
    return toy(sources=(EVENTS,))


def put_days(lake: Lake, pipeline: Pipeline, *days: str) -> None:
    for day in days:
        put_raw(lake, EVENTS, day, [message(reading(f"r-{day}", f"{day}T07:00:00+00:00"))], state="open")
    close_source(replace(lake, now=lambda: datetime(2013, 4, 10, tzinfo=UTC)), pipeline, EVENTS, ALL_LANDED)


def made(lake: Lake) -> dict[str, list[str]]:
    return {step: [each.label.removeprefix("dt=2013-") for each in lake.partitions(step)] for step in STEPS}


def test_gaps_are_not_made_but_what_looks_back_on_rows_is(lake: Lake, pipeline: Pipeline) -> None:
    put_days(lake, pipeline, "2013-01-10", "2013-03-01")
    workspace = workspace_of(lake, pipeline)

    done = {step: run_step(workspace, step, RANGE) for step in STEPS}

    assert made(lake) == {step: ["01-10", "01-11", "03-01", "03-02"] for step in STEPS}
    assert {step: (each["partitions"], each["held_back"]) for step, each in done.items()} == dict.fromkeys(
        STEPS, (RANGE, 0)
    )
    assert {step: run_step(workspace, step, RANGE)["changed"] for step in STEPS} == dict.fromkeys(STEPS, 0)


def test_gap_that_is_filled_is_made(lake: Lake, pipeline: Pipeline) -> None:
    put_days(lake, pipeline, "2013-01-10")
    workspace = workspace_of(lake, pipeline)
    for step in STEPS:
        run_step(workspace, step, RANGE)
    put_days(lake, pipeline, "2013-01-20")

    for step in STEPS:
        run_step(workspace, step, "dt=2013-01-20")

    assert made(lake)["doubled"] == ["01-10", "01-11", "01-20"]
    assert [row["total"] for row in rows_of(lake, "running", "dt=2013-01-20")] == [2]


def test_step_before_that_has_not_run_is_no_gap(lake: Lake, pipeline: Pipeline) -> None:
    put_days(lake, pipeline, "2013-01-10")

    with pytest.raises(MissingResource, match=r"conform/dt=2013-01-10/ has no manifest; run step 'conform' first"):
        run_step(workspace_of(lake, pipeline), "doubled", RANGE)


def test_what_may_still_come_is_no_gap(lake: Lake, pipeline: Pipeline) -> None:
    put_raw(lake, EVENTS, "2013-01-10", [message(reading("r", "2013-01-10T07:00:00+00:00"))], state="open")

    done = run_step(workspace_of(lake, pipeline), "conform", "dt=2013-01-09..dt=2013-01-10")

    assert (done["partitions"], done["held_back"]) == ("", 2)


def test_day_that_another_source_may_still_have_is_no_gap(lake: Lake, declare: Declare) -> None:
    declare("toy", MODULES)
    with_drops = toy()
    put_days(lake, with_drops, "2013-01-10")

    run_step(workspace_of(lake, with_drops), "conform", "dt=2013-01-08..dt=2013-01-13")

    # No weather is expected of the days before the first event.
    assert made(lake)["conform"] == ["01-10", "01-11"]
    assert rows_of(lake, "conform", "dt=2013-01-11") == []
