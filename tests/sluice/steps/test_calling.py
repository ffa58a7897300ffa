"""A step whose rows are split by their time gives each partition the bytes that a call of its own gives it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from tests.calendars import utc_ranges
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import manifest_json, put_raw, rows_of
from tests.sluice.toy import CONTRACT, EVENTS, TOY, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.store import Lake
from sluice.steps import plan as planning
from sluice.steps.runner import run_step

# Adds up the values of the day before each row. CALLS has the days of the rows that each call got.
WINDOW = """
import pandas as pd

CALLS = []

def window(conform, conform_before):
    CALLS.append(sorted({str(day) for day in conform["event_time"].dt.day}))
    if (conform["value"] == 13).any():
        raise ValueError("13 is unlucky")
    known = pd.concat([conform_before, conform])
    ends = known["event_time"]
    rows = conform[["event_id", "event_time", "value"]].copy()
    rows["total"] = [
        int(known.loc[(ends <= end) & (ends > end - pd.Timedelta(days=1)), "value"].sum()) for end in rows["event_time"]
    ]
    return rows.sort_values(["value", "event_id"])
"""
READS = (Input("conform", look_back=1),)
SPLIT = Step("window", run="steps:window", reads=READS, split_by="event_time")
DAYS = range(1, 8)
Values = dict[int, list[int]]


@pytest.fixture
def split(declare: Declare) -> Pipeline:
    declare("toy", {"contract": CONTRACT, "steps": WINDOW})
    return toy(steps=(TOY.steps[0], SPLIT), training=None, deployment=None)


def put_days(lake: Lake, pipeline: Pipeline, values: Values) -> None:
    for day, each in values.items():
        key = f"2013-01-{day:02d}"
        readings = [reading(f"r-{day}-{n}", f"{key}T{n:02d}:30:00Z", value) for n, value in enumerate(each)]
        put_raw(lake, EVENTS, key, [message(body, n + 1) for n, body in enumerate(readings)])
        run_step(workspace_of(lake, pipeline), "conform", f"dt={key}")


def run(lake: Lake, pipeline: Pipeline, days: Iterable[int] = DAYS) -> list[list[str]]:
    """Run the step over days, and return the days of the rows of each call."""
    calls: list[list[str]] = importlib.import_module("pipelines.toy.steps").CALLS
    calls.clear()
    ranges = ",".join(f"dt=2013-01-{day:02d}" for day in days)
    run_step(workspace_of(lake, pipeline), "window", ranges)
    return sorted(calls)


def made(lake: Lake, days: Iterable[int] = DAYS) -> dict[int, list[str]]:
    """Return the keys of the objects of each day. A key has the digest of the bytes."""
    found = {day: lake.manifest("window", utc_ranges(f"dt=2013-01-{day:02d}")[0]) for day in days}
    return {day: [file.key for file in manifest.files] for day, manifest in found.items() if manifest is not None}


VALUES = {day: [day * 10 + n for n in range(day % 3 + 1)] for day in DAYS}


def test_one_call_makes_the_bytes_of_many(lake: Lake, split: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    put_days(lake, split, VALUES)
    assert run(lake, split) == [["1", "2", "3", "4", "5", "6", "7"]]
    together = made(lake)
    lake.s3.delete_objects(
        Bucket=lake.bucket, Delete={"Objects": [{"Key": key} for key, _, _ in lake.objects("toy/window/")]}
    )
    monkeypatch.setattr(planning, "LARGEST_SPAN", 0)

    assert run(lake, split) == [[str(day)] for day in DAYS]

    assert made(lake) == together
    assert sorted(together) == [*DAYS]
    totals = {row["event_id"]: row["total"] for row in rows_of(lake, "window", "dt=2013-01-05")}
    assert totals == {"r-5-0": 50 + 41, "r-5-1": 51 + 50, "r-5-2": 52 + 51 + 50}


def test_late_event_makes_its_day_and_the_next_in_one_call(lake: Lake, split: Pipeline) -> None:
    put_days(lake, split, VALUES)
    run(lake, split)
    before = made(lake)
    put_days(lake, split, {3: [*VALUES[3], 1_000]})

    assert run(lake, split, [3]) == [["3", "4"]]

    after = made(lake)
    assert {day for day in DAYS if after[day] != before[day]} == {3, 4}
    assert manifest_json(lake, "window", "dt=2013-01-03")["inputs"].keys() == {
        "conform/dt=2013-01-02",
        "conform/dt=2013-01-03",
    }


def test_calls_are_of_neighbours_and_no_larger_than_their_bound(
    lake: Lake, split: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_days(lake, split, VALUES)
    assert run(lake, split, [1, 2, 4, 6, 7]) == [["1", "2"], ["4"], ["6", "7"]]
    lake.s3.delete_object(Bucket=lake.bucket, Key="toy/window/dt=2013-01-04/_manifest.json")
    size = sum(file["size"] for file in manifest_json(lake, "conform", "dt=2013-01-03")["files"])
    monkeypatch.setattr(planning, "LARGEST_SPAN", 3 * size + size // 2)

    # The look-back counts as well: two days before the third one would be four objects.
    assert run(lake, split, [3, 4, 5]) == [["3", "4"], ["5"]]


def test_day_that_fails_is_named_and_all_others_are_made(lake: Lake, split: Pipeline) -> None:
    put_days(lake, split, {**VALUES, 4: [13]})

    with pytest.raises(SluiceError, match="failed on dt=2013-01-04: ValueError: 13 is unlucky"):
        run(lake, split)

    assert sorted(made(lake)) == [1, 2, 3, 5, 6, 7]


def test_day_without_an_object_is_made_alone(lake: Lake, split: Pipeline) -> None:
    put_days(lake, split, {day: VALUES[day] for day in (1, 2)})
    lake.update_manifest(
        "conform",
        utc_ranges("dt=2013-01-02")[0],
        lambda before: before.model_copy(update={"files": ()}),  # type: ignore[union-attr]
    )
    with pytest.raises(SluiceError, match="failed on dt=2013-01-02: KeyError: 'event_time'"):
        run(lake, split, [1, 2])

    assert sorted(made(lake)) == [1]


def test_days_whose_columns_differ_are_made_alone(lake: Lake, split: Pipeline, declare: Declare) -> None:
    """A type that one day alone has would else become that of its neighbours too."""
    put_days(lake, split, {day: VALUES[day] for day in (1, 2, 3)})
    declare("toy", {"contract": CONTRACT + "    unit: str = 'kWh'\n", "steps": WINDOW})
    run_step(workspace_of(lake, split), "conform", "dt=2013-01-03")

    assert run(lake, split, [1, 2, 3]) == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize(
    ("returned", "kind", "reason"),
    [
        (lambda rows: rows.drop(columns="event_time"), DeclarationError, "returned no column 'event_time' of times"),
        (
            lambda rows: rows.assign(event_time=rows["event_time"].dt.tz_localize(None)),
            DeclarationError,
            "returned no column 'event_time' of times with a zone",
        ),
        (
            lambda rows: rows.assign(event_time=rows["event_time"] + timedelta(days=9)),
            SluiceError,
            "returned 2 rows outside of the partitions that it makes, such as one of event_time=2013-01-10 00:30:00",
        ),
        (
            lambda rows: rows.assign(event_time=rows["event_time"].where(rows["value"] > 10)),
            SluiceError,
            "returned 1 rows outside of the partitions that it makes, such as one of event_time=NaT",
        ),
    ],
)
def test_rows_that_belong_to_no_partition_are_refused(
    lake: Lake,
    split: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    returned: Callable[[Any], Any],
    kind: type[Exception],
    reason: str,
) -> None:
    put_days(lake, split, {1: [10, 11]})
    steps = importlib.import_module("pipelines.toy.steps")
    right = steps.window  # type: ignore[attr-defined]
    monkeypatch.setattr(steps, "window", lambda **frames: returned(right(**frames)))

    with pytest.raises(kind, match=reason):
        run(lake, split, [1])

    assert made(lake) == {}


def test_splitting_changes_no_fingerprint() -> None:
    assert repr(SPLIT) == repr(Step("window", run="steps:window", reads=READS))
