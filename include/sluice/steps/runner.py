"""Runs one step over partitions: reads the inputs, runs the step, persists the output, commits the manifest.

A step runs again only when its inputs or its code have changed (P4). Its output is named by the digest of its bytes,
so the steps after it run again only when the output has changed. Runs may overlap, even runs of the same partition.
After the commits the inputs are read again, and the step repeats where they have changed. So the last output was made
from the last inputs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd

from sluice.contracts.reading import Contract
from sluice.declaration.loading import resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step, name_before
from sluice.errors import ConflictingWrite, SluiceError
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.landing.parts import inline_records
from sluice.records.record import part_bytes, read_parts
from sluice.sources.connecting import events_source
from sluice.steps.conform import conform
from sluice.steps.frames import to_frame
from sluice.steps.measuring import WORKER, Place, Stopwatch
from sluice.steps.output import Output, commit
from sluice.steps.output_schema import OutputSchema
from sluice.steps.plan import SIDE_BY_SIDE, Plan, Planned, plan
from sluice.steps.reading import reader_of
from sluice.steps.returned import frame_of, table_of
from sluice.steps.unifying import unified
from sluice.workspace import Workspace

_MOST_RUNS = 5


def run_step(workspace: Workspace, name: str, ranges: str, place: Place = WORKER) -> dict[str, Any]:
    """Run a step over each partition in ``ranges``, a few in parallel, and over later ones that look back on them.

    A partition that is held back, because a raw partition that it reads is not complete, is left out.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        name: The name of the step.
        ranges: Partitions as ranges, such as ``dt=2013-01-01..dt=2013-01-14``.
        place: Where this runs, for the manifests.

    Returns:
        The summary, as :func:`summary` returns it.

    Raises:
        MissingResource: a step before it has not made a partition.
        DeclarationError: there is no such step, or its function did not return a DataFrame.
        SluiceError: the step's function failed.
        ConflictingWrite: the inputs kept changing while the step ran.
    """
    planned, changed = plan(workspace, name, ranges), set[Partition]()
    for _ in range(_MOST_RUNS):
        if not planned.due:
            return summary(planned, changed)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            made = pool.map(partial(_make, workspace, planned, place), planned.due)
            changed |= {each.partition for each, is_new in zip(planned.due, made, strict=True) if is_new}
        planned = plan(workspace, name, ranges)
    raise ConflictingWrite(
        f"{workspace.lake.uri(workspace.lake.layout.partition(name, planned.due[0].partition))} was made {_MOST_RUNS} "
        f"times, and each time its inputs changed during the run or a run with other code wrote it; wait for the other "
        f"runs and clear this task"
    )


def summary(planned: Plan, changed: Collection[Partition]) -> dict[str, Any]:
    """Return what a run has done, small enough for XCom.

    Args:
        planned: What there is to do after it: nothing, so each partition has its manifest.
        changed: The partitions whose content is new.

    Returns:
        ``partitions`` as ranges, ``held_back`` as the number of partitions that are left out, ``changed`` as the number
        of partitions with new content, and the sums of ``rows_in``, ``rows_out`` and ``rejected``.
    """
    manifests = [each.current for each in planned.planned if each.current is not None]
    return {
        "partitions": planned.ranges,
        "held_back": len(planned.held_back),
        "changed": len(changed),
        "rows_in": sum(manifest.rows_in for manifest in manifests),
        "rows_out": sum(manifest.rows_out for manifest in manifests),
        "rejected": sum(sum(manifest.rejected.values()) for manifest in manifests),
    }


def _make(workspace: Workspace, whole: Plan, place: Place, planned: Planned) -> bool:
    """Make one partition, and return whether its content is new."""
    lake, pipeline, step = workspace.lake, workspace.pipeline, whole.step
    stopwatch = Stopwatch(place, whole, planned, time.monotonic)
    if isinstance(step, Conform):
        output = _conform(lake, pipeline, step, planned)
    else:
        output = _call(lake, pipeline, step, planned)
    written = commit(
        lake,
        step.name,
        planned.partition,
        output,
        inputs=planned.inputs,
        code=whole.code,
        rows_in=planned.rows,
        run=stopwatch.read(),
    )
    return planned.current is None or written.digest != planned.current.digest


def _conform(lake: Lake, pipeline: Pipeline, step: Conform, planned: Planned) -> Output:
    manifests = [manifest for manifest in planned.found.values() if manifest is not None]
    parts = _bodies(lake, [file.key for manifest in manifests for file in manifest.files])
    if late := [record for manifest in manifests for record in inline_records(manifest)]:
        parts.append(part_bytes(late)[1])
    source = events_source(pipeline, step.source)
    contract = Contract(resolve(pipeline, step.contract), source.event_time_unit, source.event_time_zone)
    records = read_parts(parts)
    with _blamed(pipeline, step, planned.partition):
        result = conform(records, contract)
    return Output(result.rows, result.quarantined, result.duplicates, result.rejected, result.control)


def _call(lake: Lake, pipeline: Pipeline, step: Step, planned: Planned) -> Output:
    frames: dict[str, pd.DataFrame] = {}
    for read in step.reads:
        frames |= _frames(lake, pipeline, read, [planned.found[read, n] for n in range(read.look_back, -1, -1)])
    run = resolve(pipeline, step.run)
    where = f"step {step.name!r} of {pipeline.name} on {planned.partition.key}: {step.run}"
    with _blamed(pipeline, step, planned.partition):
        rows = frame_of(where, run(**frames))
        if step.output is None:
            return Output(table_of(where, rows))
        schema = OutputSchema(where, step.output, resolve(pipeline, step.output))
        checked = schema.check(rows, step.most_rejected)
        return Output(table_of(where, checked.rows), checked.quarantined, rejected=checked.rejected)


@contextmanager
def _blamed(pipeline: Pipeline, step: Conform | Step, partition: Partition) -> Iterator[None]:
    """Raise any error of the pipeline's code or data as a SluiceError, because a retry does not repair it."""
    try:
        yield
    except (SluiceError, MemoryError):
        raise
    except Exception as error:
        raise SluiceError(
            f"step {step.name!r} of {pipeline.name} failed on {partition.key}: {type(error).__name__}: {error}; "
            f"correct pipelines/{pipeline.name}, then clear this task"
        ) from error


def _frames(
    lake: Lake, pipeline: Pipeline, read: Input, manifests: Sequence[Manifest | None]
) -> dict[str, pd.DataFrame]:
    """Return what a step gets of an input: the last partition, and those before it if it looks back."""
    places = [n for n, manifest in enumerate(manifests) if manifest is not None for _ in manifest.files]
    files = [file for manifest in manifests if manifest is not None for file in manifest.files]
    bodies, table_of_object = _bodies(lake, [file.key for file in files]), reader_of(pipeline, read.dataset)
    tables = unified(
        [(file.origin or file.key, table_of_object(file, body)) for file, body in zip(files, bodies, strict=True)]
    )
    last = len(manifests) - 1
    before = [table for place, table in zip(places, tables, strict=True) if place < last]
    rows = to_frame([table for place, table in zip(places, tables, strict=True) if place == last])
    if not read.look_back:
        return {read.dataset: rows}
    # Without any earlier partition the step still gets the columns.
    return {read.dataset: rows, name_before(read.dataset): to_frame(before) if before else rows.iloc[:0]}


def _bodies(lake: Lake, keys: Sequence[str]) -> list[bytes]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lake.get, keys))
