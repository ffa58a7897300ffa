"""Pipelines of each grain, from the queue to steps that look back. The right answers are written down by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.draining import drain, send, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import rows_of
from tests.sluice.toy import EVENTS, MODULES, reading, toy

from sluice.declaration import Conform, Input, Pipeline, Step
from sluice.lake.partitions import parse_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence, close_source
from sluice.landing.parts import Limits
from sluice.sending.lanes import Event
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

NEW_YORK = ZoneInfo("America/New_York")
STEPS = (
    Conform("conform", source="events", contract="contract:Reading"),
    Step("doubled", run="steps:doubled", reads=(Input("conform"),), split_by="event_time"),
    Step("running", run="steps:running", reads=(Input("doubled", look_back=1),)),
)
pytestmark = pytest.mark.usefixtures("short_poll")

# The times of events, each with a value of its own; the values of each partition; and the total of each with the one
# before it, all doubled.
SPRING = [
    "2013-03-09T23:59:59-05:00",
    "2013-03-10T00:00:00-05:00",
    "2013-03-10T23:59:59-04:00",
    "2013-03-11T00:00:00-04:00",
]
AUTUMN = [
    "2013-11-02T23:59:59-04:00",
    "2013-11-03T00:00:00-04:00",
    "2013-11-03T01:30:00-04:00",
    "2013-11-03T01:30:00-05:00",  # the hour that clocks show twice
    "2013-11-03T23:59:59-05:00",
    "2013-11-04T00:00:00-05:00",
]
WINTER = [
    "2012-12-31T23:59:59+00:00",
    "2013-01-01T00:00:00+00:00",
    "2013-02-28T23:59:59+00:00",
    "2013-03-31T23:59:59+00:00",
]


@pytest.mark.parametrize(
    ("changes", "times", "ends", "values", "totals"),
    [
        (
            {"every": "day", "zone": "America/New_York", "start": datetime(2013, 3, 9, tzinfo=NEW_YORK)},
            SPRING,
            ["2013-03-10T05:00", "2013-03-11T04:00", "2013-03-12T04:00"],  # the 10th has 23 hours
            {"dt=2013-03-09": [1], "dt=2013-03-10": [10, 100], "dt=2013-03-11": [1000]},
            {"dt=2013-03-09": 2, "dt=2013-03-10": 222, "dt=2013-03-11": 2220},
        ),
        (
            {"every": "day", "zone": "America/New_York", "start": datetime(2013, 11, 2, tzinfo=NEW_YORK)},
            AUTUMN,
            ["2013-11-03T04:00", "2013-11-04T05:00", "2013-11-05T05:00"],  # the 3rd has 25 hours
            {"dt=2013-11-02": [1], "dt=2013-11-03": [10, 100, 1000, 10000], "dt=2013-11-04": [100000]},
            {"dt=2013-11-02": 2, "dt=2013-11-03": 22222, "dt=2013-11-04": 222220},
        ),
        (
            {"every": "month", "start": datetime(2012, 12, 1, tzinfo=UTC)},
            WINTER,
            ["2013-01-01T00:00", "2013-02-01T00:00", "2013-03-01T00:00", "2013-04-01T00:00"],
            {"month=2012-12": [1], "month=2013-01": [10], "month=2013-02": [100], "month=2013-03": [1000]},
            {"month=2012-12": 2, "month=2013-01": 22, "month=2013-02": 220, "month=2013-03": 2200},
        ),
        (
            {"every": "month", "zone": "America/New_York", "start": datetime(2013, 2, 1, tzinfo=NEW_YORK)},
            ["2013-02-28T23:59:59-05:00", "2013-03-01T00:00:00-05:00", "2013-03-31T23:59:59-04:00"],
            ["2013-03-01T05:00", "2013-04-01T04:00"],
            {"month=2013-02": [1], "month=2013-03": [10, 100]},
            {"month=2013-02": 2, "month=2013-03": 222},
        ),
        (
            {"every": "week", "start": datetime(2012, 12, 24, tzinfo=UTC)},
            ["2012-12-30T23:59:59+00:00", "2012-12-31T00:00:00+00:00", "2013-01-06T23:59:59+00:00"],
            ["2012-12-31T00:00", "2013-01-07T00:00"],
            {"week=2012-12-24": [1], "week=2012-12-31": [10, 100]},
            {"week=2012-12-24": 2, "week=2012-12-31": 222},
        ),
    ],
    ids=["day of 23 hours", "day of 25 hours", "months", "months of a zone", "weeks"],
)
def test_events_become_the_rows_of_their_windows(
    lake: Lake,
    sqs: Any,
    queue: str,
    declare: Declare,
    changes: Mapping[str, Any],
    times: Sequence[str],
    ends: Sequence[str],
    values: Mapping[str, Sequence[int]],
    totals: Mapping[str, int],
) -> None:
    pipeline = toy(**changes, sources=(EVENTS,), steps=STEPS, training=None, deployment=None)
    declare("toy", MODULES)
    world = workspace_of(replace(lake, now=lambda: datetime(2014, 1, 1, tzinfo=UTC)), pipeline)
    events = [
        Event(f"r{n}", "g", datetime.fromisoformat(time), reading(f"r{n}", time, 10**n)) for n, time in enumerate(times)
    ]
    send(sqs, queue, events)
    drain(sqs, queue, world.lake, EVENTS, Limits(seconds=60))

    closed = _closed_one_by_one(world, pipeline, ends)

    assert closed == list(values)
    assert [each.key for each in world.lake.partitions("raw/events")] == list(values)
    ranges = f"{closed[0]}..{closed[-1]}"
    for step in STEPS:
        assert run_step(world, step.name, ranges)["partitions"] == ranges
    found = {key: rows_of(world.lake, "running", key) for key in values}
    assert {key: sorted(row["value"] // 2 for row in rows) for key, rows in found.items()} == values
    assert {key: {row["total"] for row in rows} for key, rows in found.items()} == {
        key: {total} for key, total in totals.items()
    }
    assert [len(rows_of(world.lake, "doubled", key)) for key in values] == [len(each) for each in values.values()]


def _closed_one_by_one(world: Workspace, pipeline: Pipeline, ends: Sequence[str]) -> list[str]:
    """Return the partitions that close at each end, and not a moment before."""
    closed: list[str] = []
    for end in ends:
        passed = datetime.fromisoformat(end).replace(tzinfo=UTC) + EVENTS.lateness
        for landed_until in (passed - timedelta(microseconds=1), passed):
            ranges = close_source(world.lake, pipeline, EVENTS, Evidence(landed_until))
            now = [each.key for each in parse_ranges(ranges, pipeline.calendar)]
            assert now[: len(closed)] == closed
            if landed_until < passed:
                assert now == closed
            closed = now
    return closed
