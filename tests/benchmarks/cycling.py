"""What a cycle costs after a short and after a long history, and how long a history with gaps takes."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from boto3 import Session
from tests.benchmarks.transforming import run_range
from tests.conftest import Cloud
from tests.draining import record_from_sqs
from tests.sluice.cycles import cycles, ingest_cycle
from tests.sluice.toy import EVENTS, MODULES, message, reading

import pipelines
from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.completions import announce_landed
from sluice.declaration.loading import load_pipeline
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake
from sluice.landing.parts import Landing, Parts
from sluice.provisioning.provision import provision
from sluice.records.record import Record
from sluice.sending.lanes import Event, send_events
from sluice.sources.connecting import connect_events
from sluice.sources.ingest import close_partitions
from sluice.workspace import Workspace

_SHORT, _LONG = 10, 10_000
# Fifty years of something that comes in one season only, a few times a day.
_FIRST, _DAYS, _YEAR, _SEASON, _LONGER_SEASONS = datetime(1974, 4, 1, tzinfo=UTC), 17_304, 360, 76, 5
_A_DAY, _MORE = 16, 605
_SEASONS = """
from datetime import UTC, datetime
from sluice.declaration import Conform, FifoQueue, Input, Pipeline, Step

PIPELINE = Pipeline(
    name="seasons",
    every="day",
    start=datetime(1974, 4, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("enrich", run="steps:enrich", reads=(Input("conform"),), split_by="event_time"),
        Step("features", run="steps:features", reads=(Input("enrich", look_back=31),), split_by="event_time"),
    ),
)
"""
_STEPS = """
import numpy as np
import pandas as pd

def enrich(conform):
    return conform.assign(value=conform["value"] * 2)

def features(enrich, enrich_before):
    own = pd.to_datetime(enrich["event_time"], utc=True).dt.tz_localize(None).to_numpy()
    earlier = pd.to_datetime(enrich_before["event_time"], utc=True).dt.tz_localize(None).to_numpy()
    moments = np.sort(np.concatenate([earlier, own]))
    before = np.searchsorted(moments, own) - np.searchsorted(moments, own - np.timedelta64(31, "D"))
    return enrich.assign(before=before)
"""


def figures(cloud: Cloud) -> Iterator[tuple[str, float]]:
    """Yield calls of a cycle, which are the same on each machine, and seconds of a history with gaps."""
    with _pipeline("toy", MODULES | {"pipeline": "from tests.sluice.toy import TOY as PIPELINE"}):
        for history in (_SHORT, _LONG):
            calls = cycles(_provisioned(cloud, "toy", f"bench-cycling-{history}"), history)
            yield f"cycle_calls_at_{history}", max(of for name, of in calls.items() if name != "transform")
            yield f"transform_calls_at_{history}", calls["transform"]
    modules = {"pipeline": _SEASONS, "contract": MODULES["contract"], "steps": _STEPS}
    with _pipeline("seasons", modules) as folder:
        yield from _sparse_figures(cloud, _provisioned(cloud, "seasons", "bench-seasons"), folder)


def _sparse_figures(cloud: Cloud, workspace: Workspace, folder: Path) -> Iterator[tuple[str, float]]:
    (source,), lake = workspace.pipeline.event_sources, workspace.lake
    days = [Partition.containing(_FIRST, Calendar("day")).shift(n) for n in range(_DAYS) if _is_in_season(n)]
    places = count(1)
    with ThreadPoolExecutor(8) as pool:
        parts = Parts(Landing(lake, source.name), pool)
        for start in range(0, len(days), 64):
            parts.land([record for day in days[start : start + 64] for record in _records(day, places)])
    begun = time.perf_counter()
    close_partitions(workspace, source, timedelta(0))
    announce_landed(workspace, source.name, "run")
    yield "sparse_close_s", time.perf_counter() - begun
    last = days[-1]
    yield "sparse_history_s", run_range(cloud, workspace, f"{days[0].key}..{last.key}", folder)["seconds"]
    nothing = run_range(cloud, workspace, f"{days[0].key}..{last.key}", folder)
    assert set(nothing["changed"].values()) == {0}
    yield "sparse_noop_s", nothing["seconds"]
    moments = [last.end + n * timedelta(hours=1.5) for n in range(_MORE)]
    send_events(
        (Event(f"more-{n}", "g", at, reading(f"more-{n}", at)) for n, at in enumerate(moments)),
        connect_events(workspace, source).sender(),
    )
    begun = time.perf_counter()
    ingest_cycle(workspace, source)
    yield "sparse_increment_s", time.perf_counter() - begun


def _is_in_season(day: int) -> bool:
    year, of_year = divmod(day, _YEAR)
    return of_year < _SEASON + (year < _LONGER_SEASONS)


def _records(day: Partition, places: Iterator[int]) -> Sequence[Record]:
    moments = [day.start + n * timedelta(hours=1) for n in range(_A_DAY)]
    bodies = [reading(f"r-{at.isoformat()}", at) for at in moments]
    return [record_from_sqs(message(body, next(places), group=f"g{n % 4}"), EVENTS) for n, body in enumerate(bodies)]


@contextmanager
def _pipeline(name: str, modules: dict[str, str]) -> Iterator[Path]:
    """Put a pipeline's folder beside the declared ones; yield the folder that has it."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as made:
        folder = Path(made)
        (folder / name).mkdir()
        for module, source in {"__init__": "", **modules}.items():
            (folder / name / f"{module}.py").write_text(source)
        pipelines.__path__.append(made)
        try:
            yield folder
        finally:
            pipelines.__path__.remove(made)
            for module in [each for each in sys.modules if each.startswith(f"pipelines.{name}")]:
                del sys.modules[module]


def _provisioned(cloud: Cloud, name: str, bucket: str) -> Workspace:
    """Return the workspace of a pipeline, with an empty bucket for its lake."""
    pipeline = load_pipeline(name)
    provision(cloud, pipeline)
    aws = Aws(Session("test", "test", region_name=cloud.environment["AWS_DEFAULT_REGION"]), cloud.endpoint)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    return Workspace(pipeline, replace(find(cloud, name), bucket=bucket), Lake(s3, bucket, name), aws)
