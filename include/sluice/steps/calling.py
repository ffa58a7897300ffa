"""Calls the function of a step: for one partition, or once for neighbours whose rows are then split by their time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

from sluice.declaration.loading import resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import STATE, Conform, Input, Step, name_after, name_before
from sluice.errors import SluiceError
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import format_ranges
from sluice.lake.store import Lake
from sluice.steps.frames import to_frame
from sluice.steps.output import Output
from sluice.steps.output_schema import OutputSchema
from sluice.steps.planned import Planned, Span
from sluice.steps.reading import read_output, reader_of
from sluice.steps.returned import frame_of, rows_and_state, split_by_time, table_of, tables_by_time
from sluice.steps.unifying import unified

# What a step gets of an input, as tables: the objects of earlier partitions, those of its own, and of later ones.
Tables: TypeAlias = tuple[Sequence[pa.Table], Sequence[pa.Table], Sequence[pa.Table]]


class NotAlike(Exception):
    """The inputs of neighbours have other columns or types, so that each partition has to be made alone."""


def call(lake: Lake, pipeline: Pipeline, step: Step, span: Span, turn: Lock) -> list[Output]:
    """Return the output of a step for each partition of a span.

    Args:
        lake: The pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        span: The partitions.
        turn: Held while the function runs: one that seeds a generator of random numbers shares it with all threads.

    Raises:
        NotAlike: there are several partitions, whose inputs have not all the same columns.
        DeclarationError: the function did not return a DataFrame, or not the column by which its rows are split, or
            not the state of a step that has one.
        SluiceError: the function failed, or what it returned breaks the declaration.
    """
    frames: dict[str, pd.DataFrame] = {}
    for read in step.reads:
        frames |= frames_of(read, *_tables(lake, pipeline, read, span))
    run = resolve(pipeline, step.run)
    where = f"step {step.name!r} of {pipeline.name} on {format_ranges(each.partition for each in span)}: {step.run}"
    with blamed(pipeline, step, span):
        if step.state_by is not None:
            frames[STATE] = _state_before(lake, span)
        with turn:
            returned = run(**frames)
        if step.state_by is not None:
            rows, state = rows_and_state(where, returned, step.state_by)
            return [replace(_output(pipeline, step, where, rows), state=state)]
        rows = frame_of(where, returned)
        partitions = [each.partition for each in span]
        if step.split_by is not None and step.output is None:
            return [Output(table) for table in tables_by_time(where, rows, step.split_by, partitions)]
        parts = [rows] if step.split_by is None else split_by_time(where, rows, step.split_by, partitions)
        return [_output(pipeline, step, where, part) for part in parts]


def _state_before(lake: Lake, span: Span) -> pd.DataFrame:
    """Return the state before a partition, as the function gets it."""
    (planned,) = span
    file = None if planned.before is None else planned.before.file
    return to_frame([] if file is None else [read_output(lake, file)])


def _tables(lake: Lake, pipeline: Pipeline, read: Input, span: Span) -> Tables:
    """Return the objects of an input with the same columns, those of earlier and of later partitions apart."""
    before = [file for n in range(read.look_back, 0, -1) for file in _files(span[0].found[read, n])]
    own = [file for each in span for file in _files(each.found[read, 0])]
    after = [file for n in range(1, read.look_ahead + 1) for file in _files(span[-1].found[read, -n])]
    files, read_file = [*before, *own, *after], reader_of(lake, pipeline, read.dataset)
    with ThreadPoolExecutor(8) as pool:
        tables = pool.map(read_file, files)
        found = [(file.origin or file.key, table) for file, table in zip(files, tables, strict=True)]
    # Alone, a partition would not get the columns and types of all its neighbours.
    if len(span) > 1 and not all(table.schema.equals(found[0][1].schema) for _, table in found):
        raise NotAlike
    alike = unified(found)
    begin, end = len(before), len(before) + len(own)
    return alike[:begin], alike[begin:end], alike[end:]


def _files(manifest: Manifest | None) -> Sequence[Any]:
    return () if manifest is None else manifest.files


def frames_of(
    read: Input, before: Sequence[pa.Table], own: Sequence[pa.Table], after: Sequence[pa.Table]
) -> dict[str, pd.DataFrame]:
    """Return the keyword arguments in which a step's function gets an input.

    Args:
        read: The input.
        before: Its rows of earlier partitions, in order.
        own: Its rows of the partitions to make, in order and with the same columns.
        after: Its rows of later partitions, in order.
    """
    rows = to_frame(own)
    others = {name_before(read.dataset): before, name_after(read.dataset): after}
    # Without any earlier or later partition the step still gets the columns.
    frames = {name: to_frame(tables) if tables else rows.iloc[:0] for name, tables in others.items()}
    return {read.dataset: rows} | {name: frame for name, frame in frames.items() if name in read.arguments}


def _output(pipeline: Pipeline, step: Step, where: str, rows: pd.DataFrame) -> Output:
    if step.output is None:
        return Output(table_of(where, rows))
    schema = OutputSchema(where, step.output, resolve(pipeline, step.output))
    checked = schema.check(rows, step.most_rejected)
    return Output(table_of(where, checked.rows), checked.quarantined, rejected=checked.rejected)


@contextmanager
def blamed(pipeline: Pipeline, step: Conform | Step, span: Sequence[Planned]) -> Iterator[None]:
    """Raise any error of the pipeline's code or data as a SluiceError, because a retry does not repair it.

    Args:
        pipeline: The pipeline.
        step: The step whose code runs.
        span: The partitions that it makes.
    """
    try:
        yield
    except (SluiceError, MemoryError):
        raise
    except Exception as error:
        raise SluiceError(
            f"step {step.name!r} of {pipeline.name} failed on {format_ranges(each.partition for each in span)}: "
            f"{type(error).__name__}: {error}; correct pipelines/{pipeline.name}, then clear this task"
        ) from error
