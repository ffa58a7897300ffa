"""A drop that is missing holds back the partitions whose steps read it, look-back included, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from tests.draining import ALL_LANDED, workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import keys_below, manifest_json, partition, put_raw, put_rows, rows_of
from tests.sluice.toy import DROPS, EVENTS, MODULES, STEPS, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import UnreadableObject
from sluice.lake.partitions import Partition, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.sources.drops.land import land_drops
from sluice.steps.lacking import describe_held_back, held_back
from sluice.steps.runner import run_step

DAYS = [partition(f"2013-01-{day:02d}") for day in range(1, 11)]
MISSING = DAYS[4]
BODIES = """
def enriched(conform, weather, weather_before):
    return conform.assign(degrees=len(weather), before=len(weather_before))

def features(enriched, enriched_before):
    return enriched.assign(history=len(enriched_before))

def counts(conform):
    return conform[["event_id"]]
"""


@pytest.fixture
def pipeline(declare: Declare) -> Pipeline:
    declare("toy", {**MODULES, "steps": STEPS + BODIES})
    return toy(
        steps=(
            toy().step("conform"),
            Step("enriched", run="steps:enriched", reads=(Input("conform"), Input("weather", look_back=1))),
            Step("features", run="steps:features", reads=(Input("enriched", look_back=2),)),
            Step("counts", run="steps:counts", reads=(Input("conform"),)),
        ),
        training=None,
        deployment=None,
    )


def put_events(lake: Lake, day: Partition) -> None:
    key = day.key.removeprefix("dt=")
    put_raw(lake, EVENTS, key, [message(reading(f"r-{key}", f"{key}T07:00:00+00:00"))])


def land_weather(lake: Lake, day: Partition) -> None:
    lake.put(f"drops/weather/{day.key}/day.csv", b"degrees\n1\n")
    lake.put(f"drops/weather/{day.key}/_SUCCESS", b"")
    land_drops(lake, DROPS, [day])


def run_all(lake: Lake, pipeline: Pipeline, *days: Partition) -> dict[str, tuple[str, int]]:
    """Return the partitions that each step has made, and how many were held back."""
    ran = {step.name: run_step(workspace_of(lake, pipeline), step.name, format_ranges(days)) for step in pipeline.steps}
    return {name: (summary["partitions"], summary["held_back"]) for name, summary in ran.items()}


@pytest.mark.parametrize("at_once", [True, False], ids=["range", "day by day"])
def test_only_what_reads_a_missing_drop_is_held_back_and_goes_on_once_it_has_come(
    lake: Lake, pipeline: Pipeline, at_once: bool
) -> None:
    for day in DAYS:
        put_events(lake, day)
        if day != MISSING:
            land_weather(lake, day)

    ran = run_all(lake, pipeline, *DAYS) if at_once else [run_all(lake, pipeline, day) for day in DAYS][-1]

    if at_once:
        assert {name: count for name, (_, count) in ran.items()} == {
            "conform": 0, "enriched": 2, "features": 4, "counts": 0
        }  # fmt: skip
    assert lake.partitions("conform") == lake.partitions("counts") == DAYS
    assert lake.partitions("enriched") == [*DAYS[:4], *DAYS[6:]]
    assert lake.partitions("features") == [*DAYS[:4], *DAYS[8:]]

    land_weather(lake, MISSING)
    run_all(lake, pipeline, *DAYS[4:8])

    assert lake.partitions("features") == DAYS
    assert [rows_of(lake, "features", day.key)[0]["history"] for day in DAYS] == [0, 1, *[2] * 8]
    assert [rows_of(lake, "features", day.key)[0]["before"] for day in DAYS] == [0, *[1] * 9]


def test_what_a_partition_waits_for_is_named(lake: Lake, pipeline: Pipeline) -> None:
    for day in DAYS[:8]:
        put_events(lake, day)
        if day not in (DAYS[2], DAYS[4]):
            land_weather(lake, day)
    run_all(lake, pipeline, *DAYS[:8])

    waits = held_back(workspace_of(lake, pipeline), pipeline.steps, DAYS[:8])

    assert waits == {
        DAYS[2]: (("weather", DAYS[2]),),
        DAYS[3]: (("weather", DAYS[2]),),
        DAYS[4]: (("weather", DAYS[4]), ("weather", DAYS[2])),
        DAYS[5]: (("weather", DAYS[4]), ("weather", DAYS[2])),
        DAYS[6]: (("weather", DAYS[4]),),
        DAYS[7]: (("weather", DAYS[4]),),
    }
    assert describe_held_back(waits) == "dt=2013-01-03..dt=2013-01-08 waits for weather dt=2013-01-03,dt=2013-01-05"


def test_earlier_partition_of_a_queue_holds_nothing_back(lake: Lake, pipeline: Pipeline) -> None:
    """Partitions close in order, so one that is not there was made by no run, and has nothing to wait for."""
    put_events(lake, DAYS[5])
    for day in DAYS[:6]:
        land_weather(lake, day)

    assert run_all(lake, pipeline, DAYS[5])["features"] == (DAYS[5].key, 0)


def test_run_counts_only_its_own_partitions_as_held_back(lake: Lake, pipeline: Pipeline) -> None:
    """The next day, which looks back on this one, lacks its weather and stays as it is."""
    put_events(lake, DAYS[0])
    put_events(lake, DAYS[1])
    land_weather(lake, DAYS[0])
    put_rows(lake, "enriched", DAYS[1].key.removeprefix("dt="), pd.DataFrame({"event_id": ["r"], "degrees": [1]}))
    before = manifest_json(lake, "enriched", DAYS[1].key)

    assert run_all(lake, pipeline, DAYS[0])["enriched"] == (DAYS[0].key, 0)
    assert manifest_json(lake, "enriched", DAYS[1].key) == before


def test_nothing_is_expected_before_the_start_or_before_the_first_event(lake: Lake, pipeline: Pipeline) -> None:
    """No weather was ever sent for the days before."""
    put_events(lake, DAYS[5])
    land_weather(lake, DAYS[5])
    assert run_all(lake, pipeline, DAYS[5])["features"] == ("", 1)  # an older event may still come

    close_source(lake, pipeline, EVENTS, ALL_LANDED)
    assert run_all(lake, pipeline, DAYS[5])["features"] == (DAYS[5].key, 0)

    put_events(lake, DAYS[0])
    land_weather(lake, DAYS[0])
    assert run_all(lake, pipeline, DAYS[0])["features"] == (DAYS[0].key, 0)


def test_without_events_the_start_of_the_pipeline_alone_says_what_is_expected(lake: Lake, declare: Declare) -> None:
    declare("toy", {"steps": "def smoothed(weather, weather_before):\n    return weather\n"})
    smoothed = Step("smoothed", run="steps:smoothed", reads=(Input("weather", look_back=1),))
    pipeline = toy(
        sources=(DROPS,), steps=(smoothed,), training=None, deployment=None, start=datetime(2013, 1, 3, tzinfo=UTC)
    )
    for day in (DAYS[2], DAYS[4]):
        land_weather(lake, day)

    assert run_all(lake, pipeline, *DAYS[2:5]) == {"smoothed": (DAYS[2].key, 2)}
    assert keys_below(lake, "toy/quarantine/") == []


def test_earlier_raw_manifest_of_a_queue_that_can_not_be_read_stops_no_later_partition(
    lake: Lake, pipeline: Pipeline
) -> None:
    """P17: the look-back counts it as no rows, as any earlier partition of a queue that is not there."""
    for day in DAYS[:3]:
        put_events(lake, day)
        land_weather(lake, day)
    key = lake.layout.manifest("raw/events", DAYS[1])
    former = lake.get(key)
    lake.put(key, former[:-1])

    run_all(lake, pipeline, DAYS[0])
    run_all(lake, pipeline, DAYS[2])

    assert [row["history"] for row in rows_of(lake, "features", DAYS[2].key)] == [1]
    with pytest.raises(UnreadableObject, match=f"{key} is no JSON"):
        run_all(lake, pipeline, DAYS[1])

    lake.put(key, former)
    run_all(lake, pipeline, DAYS[1])

    assert [row["history"] for row in rows_of(lake, "features", DAYS[2].key)] == [2]
