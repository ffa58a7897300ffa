"""The helper for tests of a step with ``split_by`` catches steps that depend on which partitions come together."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from tests.sluice.conftest import Declare
from tests.sluice.toy import CONTRACT, TOY, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import DeclarationError
from sluice.testing import assert_separable

# Each function gets the rows of its partitions, and those of one before.
STEPS = """
import pandas as pd

def added_up(conform, conform_before):
    known = pd.concat([conform_before, conform])
    ends, day = known["event_time"], pd.Timedelta(days=1)
    rows = conform[["event_time", "value"]]
    totals = [int(known.loc[(ends <= end) & (ends > end - day), "value"].sum()) for end in rows["event_time"]]
    return rows.assign(total=totals)

def ranked(conform, conform_before):
    return conform.assign(rank=conform["value"].rank())

def deviating(conform, conform_before):
    return conform.assign(value=conform["value"] - conform["value"].mean())

def first_only(conform, conform_before):
    return conform.head(1)

def reversed_if_many(conform, conform_before):
    return conform if len(conform) == 2 else conform[::-1]

def reaching_further(conform, conform_before):
    known = pd.concat([conform_before, conform])
    return conform.assign(oldest=known["event_time"].min())

def widened(conform, conform_before):
    return conform.assign(value=conform["value"].astype("float64" if len(conform) > 2 else "int64"))
"""
NEIGHBOURS = "dt=2013-01-02..dt=2013-01-04"
VALUES = {1: [5, 7], 2: [9, 8], 3: [10, 2], 4: [3, 4]}


def frames() -> dict[str, dict[str, pd.DataFrame]]:
    days = {
        f"dt=2013-01-{day:02d}": pd.DataFrame(
            {
                "event_time": [datetime(2013, 1, day, 6 * n, tzinfo=UTC) for n in range(len(values))],
                "value": values,
            }
        )
        for day, values in VALUES.items()
    }
    return {"conform": days}


def pipeline_of(declare: Declare, function: str, split_by: str | None = "event_time") -> Pipeline:
    declare("toy", {"contract": CONTRACT, "steps": STEPS})
    step = Step("step", run=f"steps:{function}", reads=(Input("conform", look_back=1),), split_by=split_by)
    return toy(steps=(TOY.steps[0], step), training=None, deployment=None)


def test_step_that_decides_by_times_is_separable(declare: Declare) -> None:
    assert_separable(pipeline_of(declare, "added_up"), "step", NEIGHBOURS, frames())


AHEAD = """
import pandas as pd

def coming(conform, conform_before, conform_after):
    known = pd.concat([conform_before, conform, conform_after])
    starts, day = known["event_time"], pd.Timedelta(days=1)
    rows = conform[["event_time", "value"]]
    later = [int(known.loc[(starts > at) & (starts <= at + day), "value"].sum()) for at in rows["event_time"]]
    return rows.assign(later=later)

def latest(conform, conform_before, conform_after):
    return conform.assign(latest=pd.concat([conform, conform_after])["event_time"].max())
"""


def test_step_that_looks_ahead_gets_the_rows_after_the_last_partition_once(declare: Declare) -> None:
    declare("toy", {"contract": CONTRACT, "steps": AHEAD})
    read = Input("conform", look_back=1, look_ahead=1)

    def pipeline(function: str) -> Pipeline:
        step = Step("step", run=f"steps:{function}", reads=(read,), split_by="event_time")
        return toy(steps=(TOY.steps[0], step), training=None, deployment=None)

    assert_separable(pipeline("coming"), "step", "dt=2013-01-01..dt=2013-01-03", frames())
    assert_separable(pipeline("coming"), "step", "dt=2013-01-01..dt=2013-01-04", frames())  # none after the last
    with pytest.raises(AssertionError, match=r"dt=2013-01-02 in one call .* 'latest': 2013-01-04 .*, alone 2013-01-03"):
        assert_separable(pipeline("latest"), "step", "dt=2013-01-02..dt=2013-01-03", frames())


def test_a_partition_before_the_first_one_may_have_no_rows(declare: Declare) -> None:
    assert_separable(pipeline_of(declare, "added_up"), "step", "dt=2013-01-01..dt=2013-01-04", frames())


@pytest.mark.parametrize(
    ("function", "difference"),
    [
        (
            "ranked",
            "dt=2013-01-02 in one call .* has in row 0, of event_time=2013-01-02 .*, another 'rank': 5.0, alone 2.0",
        ),
        ("deviating", "dt=2013-01-02 in one call .* has in row 0, .* another 'value': 3.0, alone 0.5"),
        ("first_only", "dt=2013-01-03 in one call .* has 0 rows, alone 1"),
        (
            "reversed_if_many",
            "dt=2013-01-02 in one call .* in row 0, .* another 'event_time': .* 06:00:00.*, alone .* 00:00",
        ),
        (
            "reaching_further",
            "dt=2013-01-03 in one call .* has in row 0, .*, another 'oldest': 2013-01-01 .*, alone 2013-01-02",
        ),
        ("widened", r"dt=2013-01-02 in one call .* has another column \(value: double, alone value: int64\)"),
    ],
)
def test_step_that_depends_on_its_neighbours_is_caught(declare: Declare, function: str, difference: str) -> None:
    pipeline = pipeline_of(declare, function)

    with pytest.raises(AssertionError, match=f"step 'step' of toy is not separable: {difference}"):
        assert_separable(pipeline, "step", NEIGHBOURS, frames())


def test_step_without_split_by_is_refused(declare: Declare) -> None:
    with pytest.raises(DeclarationError, match="step 'step' of toy declares no split_by"):
        assert_separable(pipeline_of(declare, "added_up", split_by=None), "step", NEIGHBOURS, frames())


def test_partition_without_a_frame_is_named(declare: Declare) -> None:
    with pytest.raises(DeclarationError, match="there is no frame of 'conform' for dt=2013-01-05"):
        assert_separable(pipeline_of(declare, "added_up"), "step", "dt=2013-01-04..dt=2013-01-05", frames())
