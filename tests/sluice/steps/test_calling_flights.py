"""Days of flights that are made in one call have the bytes of days that are made alone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from tests.calendars import utc_ranges
from tests.draining import workspace_of
from tests.pipelines.flights.flight_days import days_from, events_from, raw_message, weather
from tests.sluice.lake_contents import put_raw

from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.weather import drop_weather
from sluice.declaration.sources import FifoQueue
from sluice.lake.look import Look
from sluice.lake.store import Lake
from sluice.sources.ingest import land_partitions
from sluice.steps import plan
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

assert PIPELINE.start is not None
DAYS = days_from(PIPELINE.start.date(), 4)
RANGE = f"dt={DAYS[0]}..dt={DAYS[-1]}"


@pytest.fixture
def flown(lake: Lake) -> Workspace:
    """The raw partitions of a few days."""
    workspace = workspace_of(Lake(lake.s3, lake.bucket, "flights"), PIPELINE)
    (source,) = PIPELINE.event_sources
    assert isinstance(source, FifoQueue)
    by_day: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for place, event in enumerate(events_from(DAYS[0], len(DAYS)), 1):
        by_day[event.body.partition('"event_time":"')[2][:10]].append(raw_message(event, place))
    for day in map(str, DAYS):
        put_raw(workspace.lake, source, day, by_day[day])
    drop_weather(lake.s3, lake.bucket, weather(), DAYS)
    land_partitions(workspace, RANGE)
    run_step(workspace, "conform", RANGE)
    return workspace


def made(workspace: Workspace) -> dict[str, list[str]]:
    """Run the steps, and return the keys of their objects. A key has the digest of the bytes."""
    for step in ("enrich", "features"):
        run_step(workspace, step, RANGE)
    found = {step: Look(workspace.lake).manifests(step, utc_ranges(RANGE)) for step in ("enrich", "features")}
    return {step: [file.key for each in manifests for file in each.files] for step, manifests in found.items()}


def test_days_in_one_call_have_the_bytes_of_days_alone(flown: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, calls = flown.lake, plan.plan(flown, "enrich", RANGE).spans
    together = made(flown)
    for step in together:
        keys = [{"Key": key} for key, _, _ in lake.objects(lake.layout.dataset(step))]
        lake.s3.delete_objects(Bucket=lake.bucket, Delete={"Objects": keys})
    monkeypatch.setattr(plan, "LARGEST_SPAN", 0)

    assert (len(calls), len(plan.plan(flown, "enrich", RANGE).spans)) == (1, len(DAYS))
    assert made(flown) == together
    assert [len(keys) for keys in together.values()] == [len(DAYS), len(DAYS)]
