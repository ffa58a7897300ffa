"""Chunks follow the work of their partitions, and stay within Airflow's limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.calendars import utc, utc_ranges
from tests.conftest import Cloud
from tests.sluice.lake_contents import put_raw
from tests.sluice.s3_calls import counted
from tests.sluice.toy import EVENTS, message, reading, toy

from sluice.declaration.loading import load_pipeline
from sluice.lake.grains import Grain
from sluice.lake.look import Look
from sluice.lake.manifests import Size
from sluice.lake.partitions import Partition, format_ranges
from sluice.provisioning.provision import provision
from sluice.steps.chunks import GAP, MOST, PARTITION, ROW, TARGET, chunks_by_size, chunks_of_run
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

FIRST: Mapping[Grain, Partition] = {
    "day": utc("dt=2013-01-01"),
    "hour": utc("dt=2013-01-01/hour=00"),
}
SIZES = st.lists(st.builds(Size, st.integers(0, 2**40), st.integers(0, 10**8)), min_size=1, max_size=300)


def neighbours(sizes: list[Size], every: Grain = "hour") -> dict[Partition, Size]:
    return {FIRST[every].shift(n): size for n, size in enumerate(sizes)}


def work(size: Size) -> int:
    return max(size.bytes, size.rows * ROW, PARTITION if size.bytes else GAP)


@given(SIZES, st.sampled_from(["day", "hour"]))
def test_each_partition_is_in_one_chunk_in_order(sizes: list[Size], every: Grain) -> None:
    partitions = neighbours(sizes, every)

    chunks = chunks_by_size(partitions)

    assert [each for chunk in chunks for each in utc_ranges(chunk)] == list(partitions)
    assert chunks == chunks_by_size(dict(partitions))


@given(SIZES)
def test_chunk_has_about_the_target_unless_there_are_too_many_or_one_partition_has_more(sizes: list[Size]) -> None:
    partitions = neighbours(sizes)
    total, largest = sum(map(work, sizes)), max(map(work, sizes))
    # A cut falls into the middle of a partition: half of one may be added at each end.
    most = max(TARGET, -(-total // MOST)) + largest

    chunks = [[work(partitions[each]) for each in utc_ranges(chunk)] for chunk in chunks_by_size(partitions)]

    assert len(chunks) <= MOST
    assert all(0 < sum(chunk) <= most for chunk in chunks)


@given(st.integers(1, 2**20), st.integers(1, 500))
def test_equal_partitions_make_chunks_that_differ_by_one_at_most(size: int, count: int) -> None:
    lengths = {len(utc_ranges(chunk)) for chunk in chunks_by_size(neighbours([Size(bytes=size)] * count))}

    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (Size(), [60]),  # days of which there is nothing
        (Size(bytes=100, rows=1), [60]),
        (Size(bytes=400_000, rows=2_700), [20] * 3),  # days of flights
        (Size(bytes=100_000_000, rows=100), [1] * 60),
        (Size(bytes=100, rows=1_000_000), [1] * 60),
    ],
)
def test_bytes_and_rows_decide_how_many_partitions_a_chunk_has(size: Size, lengths: list[int]) -> None:
    chunks = chunks_by_size(neighbours([size] * 60, "day"))

    assert [len(utc_ranges(chunk)) for chunk in chunks] == lengths


@pytest.mark.parametrize("size", [Size(), Size(bytes=2**30)])
def test_ten_years_of_hours_stay_below_the_limits_of_airflow(size: Size) -> None:
    chunks = chunks_by_size(neighbours([size] * 87_600))

    assert len(chunks) <= 1_024
    assert len(json.dumps(chunks)) < 4_096
    assert sum(len(utc_ranges(chunk)) for chunk in chunks) == 87_600


def test_gaps_in_a_history_hardly_count() -> None:
    """Of ten years, each has a season of 73 days; 256 of these are one chunk, with the gaps between them."""
    history = neighbours([Size(bytes=5_000, rows=16) if n % 365 < 73 else Size() for n in range(3_650)], "day")

    days = [sum(history[each].rows > 0 for each in utc_ranges(chunk)) for chunk in chunks_by_size(history)]

    assert sum(days) == 730
    assert max(days) - min(days) <= 10
    assert len(days) == 4


def test_no_partitions_make_no_chunk() -> None:
    assert chunks_by_size({}) == []


def test_sizes_are_those_of_all_sources(cloud: Cloud) -> None:
    """Of four days, the second has rows, and the third a large drop: 64 MiB, four times a full chunk."""
    pipeline = load_pipeline("flights")
    provision(cloud, pipeline)
    workspace = Workspace.open(cloud, "flights")
    days = [FIRST["day"].shift(n) for n in range(4)]
    messages = [message(json.dumps({"id": str(n), "event_time": "2013-01-02T07:00:00Z"}), n) for n in range(20)]
    put_raw(workspace.lake, pipeline.event_sources[0], "2013-01-02", messages)
    workspace.lake.put("drops/weather/dt=2013-01-03/day.csv", bytes(2**26))
    workspace.lake.put("drops/weather/dt=2013-01-03/_SUCCESS", b"")

    assert chunks_of_run(workspace, days) == ["dt=2013-01-01..dt=2013-01-02", "dt=2013-01-03", "dt=2013-01-04"]


def test_tasks_read_by_one_call_what_the_chunks_have_read(workspace: Workspace) -> None:
    days = [FIRST["day"].shift(n) for n in range(12)]
    for day in days:
        put_readings(workspace, day, 1)
    workspace.lake.put("drops/weather/dt=2013-01-03/day.csv", bytes(2**25))
    workspace.lake.put("drops/weather/dt=2013-01-03/_SUCCESS", b"")
    assert len(chunks_of_run(workspace, days)) > 1

    with counted(workspace.lake.bucket) as calls:
        assert len(Look(workspace.lake).manifests("raw/events", days)) == 12

    assert calls == {"list": 1, "get": 1}


def test_partitions_in_which_nothing_has_to_run_count_as_empty(workspace: Workspace) -> None:
    """Two days have a chunk of rows together, and half a chunk each."""
    workspace = replace(workspace, pipeline=toy(sources=(EVENTS,)))
    days = [FIRST["day"].shift(n) for n in range(4)]
    rows = TARGET // ROW // 2 + 100
    apart, together = ["dt=2013-01-01", "dt=2013-01-02..dt=2013-01-04"], ["dt=2013-01-01..dt=2013-01-04"]
    for day, count in zip(days, (rows, rows, 1, 1), strict=True):
        put_readings(workspace, day, count)

    assert chunks_of_run(workspace, days) == apart
    for step in workspace.pipeline.steps:
        run_step(workspace, step.name, format_ranges(days))
    assert chunks_of_run(workspace, days) == together

    put_readings(workspace, days[2], 2)  # late
    assert chunks_of_run(workspace, days) == together
    put_readings(workspace, days[0], rows + 1)
    assert chunks_of_run(workspace, days) == apart  # the next day looks back on it


def put_readings(workspace: Workspace, day: Partition, count: int) -> None:
    key = day.key.removeprefix("dt=")
    readings = [message(reading(f"r-{key}-{n}", f"{key}T07:00:00+00:00", 1), n + 1) for n in range(count)]
    put_raw(workspace.lake, EVENTS, key, readings)
