"""Runs the transform over days of which some lack a drop, as the dispatch starts it, until nothing is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from sluice.declaration.drops import Drops
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import FifoQueue
from sluice.declaration.steps import Conform, Input, Step
from sluice.lake.partitions import Partition, between
from sluice.lake.store import Lake
from sluice.sources.completeness import incomplete
from sluice.sources.due import due_partitions, record_held_back, record_started
from sluice.sources.ingest import land_partitions
from sluice.steps.lacking import held_back
from sluice.steps.runner import run_step
from sluice.workspace import Workspace
from tests.calendars import utc
from tests.cases.case import Case
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import CONTRACT, message, reading

_MOST = 1000


def check(case: Case, request: pytest.FixtureRequest) -> None:
    lake: Lake = request.getfixturevalue("lake")
    declare: Declare = request.getfixturevalue("declare")
    given, right = case.given, case.right
    (drops, missing), described = *given["missing"].items(), given["pipeline"]
    days = list(between(*(utc(f"dt={described[bound]}") for bound in ("start", "end"))))
    pipeline = declared(described, drops)
    declare("toy", {"contract": CONTRACT, "steps": functions_of(pipeline)})
    workspace = workspace_of(lake, pipeline)
    for day in days:
        key = day.key.removeprefix("dt=")
        put_raw(lake, pipeline.sources[0], key, [message(reading(f"r-{key}", f"{key}T07:00:00Z"))])
        if day.key not in missing:
            drop(lake, pipeline.sources[1], day)

    transform_what_is_due(workspace)  # "within one pass"
    for step in pipeline.steps:
        made = {partition.key for partition in lake.partitions(step.name)}
        assert made == {day.key for day in days} - set(right["waiting"][step.name])
    assert not due_partitions(workspace, _MOST).ready

    for key in missing:
        drop(lake, pipeline.sources[1], utc(key))
    while transform_what_is_due(workspace):
        pass
    assert {step.name: lake.partitions(step.name) for step in pipeline.steps} == dict.fromkeys(right["waiting"], days)


def declared(described: Mapping[str, Any], drops: str) -> Pipeline:
    """Return a pipeline of the steps of a case: those that read the source of events alone conform it."""
    steps: list[Conform | Step] = []
    for name, reads in described["steps"].items():
        if name == "conform":
            (source,) = reads
            steps.append(Conform(name, source=source, contract="contract:Reading"))
        else:
            inputs = tuple(Input(dataset, look_back) for dataset, look_back in reads.items())
            steps.append(Step(name, run=f"steps:{name}", reads=inputs))
    start, end = (datetime.fromisoformat(described[bound]).replace(tzinfo=UTC) for bound in ("start", "end"))
    queue = FifoQueue(source, event_id="id", event_time="at")
    sources = (queue, Drops(drops, prefix=f"drops/{drops}/"))
    return Pipeline("toy", every=described["every"], start=start, end=end, sources=sources, steps=tuple(steps))


def functions_of(pipeline: Pipeline) -> str:
    """Return a module in which each step returns the rows of its first input."""
    inputs = {step.name: [name for read in step.reads for name in read.arguments] for step in pipeline.steps[1:]}
    return "\n".join(f"def {name}({', '.join(names)}):\n    return {names[0]}\n" for name, names in inputs.items())


def drop(lake: Lake, source: Any, day: Partition) -> None:
    lake.put(f"{source.prefix}{day.key}/day.csv", b"degrees\n1\n")
    lake.put(f"{source.prefix}{day.key}/{source.complete.name}", b"")


def transform_what_is_due(workspace: Workspace) -> int:
    """Run the transform once over each partition that is due, as its DAG does; return how many there were."""
    ready = due_partitions(workspace, _MOST).ready
    for day in ready:
        record_started(workspace, [day], day.key, incomplete(workspace, [day]))
        land_partitions(workspace, day.key)
        for step in workspace.pipeline.steps:
            run_step(workspace, step.name, day.key)
        waits = held_back(workspace, workspace.pipeline.steps, [day])
        record_held_back(workspace, waits)
    return len(ready)
