"""How long a range run of a year of flights takes from raw to features, beside a script by hand that does the same.

And what it costs when little has changed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from deploy.checkout import ROOT, read_settings
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.pipelines.flights.flight_days import days_from, events_from, raw_message, weather
from tests.sluice.lake_contents import body_of, keys_below, put_raw

from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.weather import drop_weather
from sluice.declaration.sources import FifoQueue
from sluice.lake.layout import Folder, raw_dataset
from sluice.lake.store import Lake
from sluice.workspace import Workspace

_BUCKET = "bench-transforming"
_YEAR, _MONTH = 365, 30
_LATE_DAY = 200
_ROUNDS = 3
_SCRIPT = "tests.benchmarks.transforming_polars"
_OF_MEMORY = ("ARROW_DEFAULT_MEMORY_POOL", "MALLOC_ARENA_MAX")  # settings of workers
assert PIPELINE.start is not None
_FIRST = PIPELINE.start.date()


def figures(cloud: Cloud, days: int = _YEAR) -> Iterator[tuple[str, float]]:
    """Yield the figures of a range run of the first days of 2013.

    Args:
        cloud: The cloud that has the lake.
        days: How many days the long run has.
    """
    by_day = _messages(days)
    short, long = (_filled(cloud, f"{_BUCKET}-{count}", by_day, count) for count in (_MONTH, days))
    month, (year, by_hand, peak) = _run(cloud, short, _MONTH), _beside_a_script(cloud, long, days)
    yield "transform_year_s", year
    yield "transform_by_hand_s", by_hand
    yield "transform_ratio", year / by_hand
    yield "transform_events_per_s", sum(map(len, by_day.values())) / year
    yield "transform_memory_ratio", peak / month["peak_kib"]
    nothing = _run(cloud, long, days)
    assert set(nothing["changed"].values()) == {0}
    yield "noop_year_s", nothing["seconds"]
    day = str(_FIRST + timedelta(days=min(_LATE_DAY, days // 2)))
    _put(long, day, by_day[day][1:])
    yield "late_partitions", max(_run(cloud, long, days)["changed"].values())


def _messages(days: int) -> dict[str, list[dict[str, Any]]]:
    by_day: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for place, event in enumerate(events_from(_FIRST, days), 1):
        by_day[event.body.partition('"event_time":"')[2][:10]].append(raw_message(event, place))
    return by_day


def _filled(cloud: Cloud, bucket: str, by_day: dict[str, list[dict[str, Any]]], days: int) -> Workspace:
    """Return a lake with the raw events, and with drops of weather that have not landed."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    workspace = workspace_of(Lake(s3, bucket, "flights"), PIPELINE)
    for day in days_from(_FIRST, days):
        _put(workspace, str(day), by_day[str(day)])
    drop_weather(s3, bucket, weather(), days_from(_FIRST, days))
    return workspace


def _put(workspace: Workspace, day: str, messages: list[dict[str, Any]]) -> None:
    (source,) = PIPELINE.event_sources
    assert isinstance(source, FifoQueue)
    put_raw(workspace.lake, source, day, messages)


def _beside_a_script(cloud: Cloud, workspace: Workspace, days: int) -> tuple[float, float, int]:
    """Return the median seconds of a range run and of the script, in turns, and the peak memory of the run in KiB."""
    ours, by_hand, peaks = [], [], []
    for _ in range(_ROUNDS):
        _forget_outputs(workspace)
        by_hand.append(float(_measured(cloud, _SCRIPT, workspace.lake.bucket)))
        run = _run(cloud, workspace, days)
        ours.append(run["seconds"])
        peaks.append(run["peak_kib"])
        _require_equal_rows(workspace, days)
    return statistics.median(ours), statistics.median(by_hand), max(peaks)


def _forget_outputs(workspace: Workspace) -> None:
    lake = workspace.lake
    made = [step.name for step in PIPELINE.steps] + [raw_dataset("weather")]
    prefixes = ["by_hand/", lake.layout.dataset(Folder.IDS), *(lake.layout.dataset(name) for name in made)]
    for key in [key for prefix in prefixes for key in keys_below(lake, prefix)]:
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)


def _require_equal_rows(workspace: Workspace, days: int) -> None:
    """Require that both have written the same rows, in the same order and types, for each step and day."""
    lake = workspace.lake

    def differ(part: tuple[str, str]) -> bool:
        name, day = part
        (ours,) = (key for key in keys_below(lake, f"flights/{name}/dt={day}/") if key.endswith(".parquet"))
        one, other = (
            pl.read_parquet(BytesIO(body_of(lake, key))) for key in (ours, f"by_hand/{name}/dt={day}/part-0.parquet")
        )
        return one.schema != other.schema or not one.equals(other)

    parts = [(step.name, str(day)) for step in PIPELINE.steps for day in days_from(_FIRST, days)]
    with ThreadPoolExecutor(8) as pool:
        different = [part for part, differs in zip(parts, pool.map(differ, parts), strict=True) if differs]
    assert not different, f"the script by hand has other rows: {different[:3]}"


def _run(cloud: Cloud, workspace: Workspace, days: int) -> dict[str, Any]:
    return run_range(cloud, workspace, f"dt={_FIRST}..dt={_FIRST + timedelta(days=days - 1)}")


def run_range(cloud: Cloud, workspace: Workspace, ranges: str, folder: Path | None = None) -> dict[str, Any]:
    """Run the steps of a pipeline over partitions in processes of their own; return what was measured.

    Args:
        cloud: The cloud that has the lake.
        workspace: The pipeline.
        ranges: The partitions.
        folder: The folder that has the pipeline's, if it is no declared one.
    """
    where = [workspace.pipeline.name, workspace.lake.bucket, ranges, *([str(folder)] if folder else [])]
    found: dict[str, Any] = json.loads(_measured(cloud, "tests.benchmarks.transforming_run", *where))
    return found


def _measured(cloud: Cloud, module: str, *arguments: str) -> str:
    """Return what a module prints that runs in a process of its own, which gives memory back as workers do."""
    settings = read_settings(ROOT / ".env.example", ROOT)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **cloud.environment, **{name: settings[name] for name in _OF_MEMORY}},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
        check=True,
    )
    return done.stdout
