"""A lake with a long history, and what the DAGs do again and again: an ingest cycle, and the transform of one day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event as Signal

import pyarrow as pa
from tests.sluice.s3_calls import counted
from tests.sluice.toy import EVENTS, reading, toy

from sluice.completions import announce_landed, announce_partitions
from sluice.declaration.sources import EventSource
from sluice.declaration.steps import Conform
from sluice.lake.division import record_division
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import File, Manifest
from sluice.lake.partitions import Calendar, Partition, format_ranges
from sluice.lake.pending import Pending
from sluice.landing.closing import Observed
from sluice.landing.parts import Limits
from sluice.sending.lanes import Event, send_events
from sluice.sources.completeness import incomplete
from sluice.sources.connecting import connect_events
from sluice.sources.due import record_started
from sluice.sources.ingest import close_partitions, land_partitions
from sluice.steps.chunks import chunks_of_run
from sluice.steps.content import content_digest
from sluice.steps.frames import parquet_bytes
from sluice.steps.ids.keys import KEYS
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

AT = datetime(2013, 1, 1, tzinfo=UTC)
# A row as the steps of the toy pipeline look back on it.
_KEYS = pa.Table.from_pylist([{"event_id": "r", "group": "g", "sequence_number": "1", "sent_at": AT}], schema=KEYS)
_ROW = parquet_bytes(pa.table({"event_id": ["r"], "event_time": [AT], "value": [1]}))


def put_history(workspace: Workspace, days: Sequence[Partition]) -> None:
    """Put days that were closed, transformed and announced long ago, each with an object in every dataset."""
    lake, pipeline = workspace.lake, workspace.pipeline
    raw = [raw_dataset(source.name) for source in pipeline.event_sources]

    def put(dataset: str, day: Partition) -> None:
        key = f"{lake.layout.partition(dataset, day)}part-0.parquet"
        manifest = Manifest(
            dataset=dataset,
            partition=day.key,
            state="closed",
            revision=1,
            files=(File(key=key, size=len(_ROW), etag="", rows=1),),
            rows_out=1,
            written_at=AT,
        )
        lake.put(key, _ROW)
        lake.put(lake.layout.manifest(dataset, day), manifest.model_dump_json().encode())
        lake.put(lake.layout.announcement(dataset, day.key, "announced"), b"")

    with ThreadPoolExecutor(16) as pool:
        for dataset in (*raw, *(step.name for step in pipeline.steps)):
            list(pool.map(lambda day, dataset=dataset: put(dataset, day), days))
        for step in (step for step in pipeline.steps if isinstance(step, Conform)):
            key = partial(lake.layout.key_file, step.name, number=1, digest=content_digest(_KEYS))
            list(pool.map(lambda day, key=key: lake.put(key(partition=day), parquet_bytes(_KEYS)), days))
    record_division(lake)
    for source in pipeline.event_sources:
        observed = Observed(since=days[0].start, until=days[-1].end)
        lake.put(lake.layout.pending(source.name), Pending().model_dump_json().encode())
        lake.put(lake.layout.observed(source.name), observed.model_dump_json().encode())


def ingest_cycle(workspace: Workspace, source: EventSource) -> str:
    """Do what a run of the ingest does, with counters that agree at once; return what it has announced."""
    connector = connect_events(workspace, source)
    connector.backlog()
    connector.gauges()
    for unit in connector.units(1):
        connector.drain(unit, Limits(), lambda _: None, Signal())
    connector.unsettled(timedelta(0))
    connector.gauges()
    closed = close_partitions(workspace, source, timedelta(0))
    if closed:
        announce_landed(workspace, source.name, "run")
    return closed


def transform_of(workspace: Workspace, days: Iterable[Partition]) -> None:
    """Do what a run of the transform does for some days."""
    asked = list(days)
    assert not incomplete(workspace, asked)
    record_started(workspace, asked, "run")
    for chunk in chunks_of_run(workspace, asked):
        land_partitions(workspace, chunk)
        for step in workspace.pipeline.steps:
            run_step(workspace, step.name, chunk)
    announce_partitions(workspace, workspace.pipeline.steps[-1].name, format_ranges(asked), "run")


_DAY = Partition.containing(AT, Calendar("day"))
_NOON, _AFTER = _DAY.start + timedelta(hours=12), _DAY.end + timedelta(hours=2)
MOMENTS = {"opens": _NOON, "lands": _NOON, "closes": _AFTER, "comes late": _AFTER, "has nothing": _AFTER}


def cycles(workspace: Workspace, history: int) -> dict[str, int]:
    """Return the calls, beside puts, of each cycle of a day that follows a history; the transform is the last."""
    world, found = replace(workspace, pipeline=toy(sources=(EVENTS,))), dict[str, int]()
    put_history(world, [_DAY.shift(-n) for n in range(history, 0, -1)])
    for name, now in MOMENTS.items():
        there = replace(world, lake=replace(world.lake, now=lambda now=now: now))
        if name != "has nothing":
            id_ = f"{world.lake.bucket}-{name}"
            event = Event(id_, "g", _NOON, reading(id_, _NOON))
            send_events([event], connect_events(world, EVENTS).sender())
        with counted(world.lake.bucket) as calls:
            ingest_cycle(there, EVENTS)
        found[name] = _beside_puts(calls)
    assert _revision(world) == 2
    with counted(world.lake.bucket) as calls:
        transform_of(world, [_DAY])
    return {**found, "transform": _beside_puts(calls)}


def _beside_puts(calls: Mapping[str, int]) -> int:
    return sum(count for kind, count in calls.items() if kind != "put")


def _revision(world: Workspace) -> int:
    manifest = world.lake.manifest("raw/events", _DAY)
    assert manifest is not None
    return manifest.revision
