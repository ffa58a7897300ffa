"""How long a range run of a year of flights takes from raw to features, and what it costs when little has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.pipelines.flights.flight_days import days_from, events_from, raw_message, weather
from tests.sluice.lake_contents import put_raw

from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.weather import drop_weather
from sluice.declaration.sources import FifoQueue
from sluice.lake.store import Lake
from sluice.workspace import Workspace

_BUCKET = "bench-transforming"
_YEAR, _MONTH = 365, 30
_LATE_DAY = 200
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
    month, year = _run(cloud, short, _MONTH), _run(cloud, long, days)
    yield "transform_year_s", year["seconds"]
    yield "transform_events_per_s", sum(map(len, by_day.values())) / year["seconds"]
    yield "transform_memory_ratio", year["peak_kib"] / month["peak_kib"]
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
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.transforming_run", *where],
        env={**os.environ, **cloud.environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
