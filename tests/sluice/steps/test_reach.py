"""How far a change reaches: both ways, over all steps, and not beyond the pipeline's end."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from tests.sluice.toy import TOY, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.lake.partitions import Partition
from sluice.steps.reach import farthest, known_from, places_of_inputs, reach


def declared(*steps: Step, **changes: object) -> Pipeline:
    return toy(steps=(TOY.steps[0], *steps), training=None, deployment=None, **changes)


def test_reach_adds_up_over_the_steps() -> None:
    pipeline = declared(
        Step("a", run="s:a", reads=(Input("conform", 2), Input("weather", look_back=1, look_ahead=2))),
        Step("b", run="s:b", reads=(Input("a", 3, 1), Input("conform", look_ahead=2))),
        Step("c", run="s:c", reads=(Input("conform", look_ahead=7),)),
    )

    assert [reach(pipeline, step) for step in pipeline.steps] == [range(1), range(-2, 3), range(-3, 6), range(-7, 1)]
    assert farthest(pipeline) == range(-7, 6)


def test_inputs_are_read_in_the_order_of_time() -> None:
    read = Input("conform", look_back=2, look_ahead=1)

    assert places_of_inputs(Step("a", run="s:a", reads=(read,))) == [(read, 2), (read, 1), (read, 0), (read, -1)]


@pytest.mark.parametrize(
    ("changes", "moment", "expected"),
    [
        ({}, datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 9, tzinfo=UTC)),
        ({"end": datetime(2013, 1, 7, tzinfo=UTC)}, datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 8, tzinfo=UTC)),
        ({"end": datetime(2013, 1, 5, tzinfo=UTC)}, datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 6, tzinfo=UTC)),
        ({"every": "hour"}, datetime(2013, 1, 5, 22, tzinfo=UTC), datetime(2013, 1, 6, 2, tzinfo=UTC)),
        (
            {"zone": "Europe/Berlin", "start": datetime(2013, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))},
            datetime(2013, 3, 30, 12, tzinfo=UTC),
            datetime(2013, 4, 2, 22, tzinfo=UTC),  # one of the days has 23 hours
        ),
    ],
    ids=["days", "before-the-end", "at-the-end", "hours", "days-of-a-zone"],
)
def test_what_a_step_reads_has_passed_with_the_last_partition_that_comes(
    changes: dict[str, object], moment: datetime, expected: datetime
) -> None:
    pipeline = declared(
        Step("a", run="s:a", reads=(Input("conform", look_ahead=1),)),
        Step("b", run="s:b", reads=(Input("a", look_back=5, look_ahead=2),)),
        **changes,
    )

    assert known_from(pipeline, pipeline.step("b"), Partition.containing(moment, pipeline.calendar)) == expected
