"""What tests of a pipeline may call: whether the rows of a step depend on which partitions come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import pandas as pd
import pyarrow as pa

from sluice.declaration.loading import resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import DeclarationError
from sluice.lake.partitions import Partition, format_ranges, parse_ranges
from sluice.steps.calling import frames_of
from sluice.steps.content import content_digest
from sluice.steps.returned import frame_of, table_of, tables_by_time
from sluice.steps.unifying import unified

_Tables = Mapping[Partition, pa.Table]


def assert_separable(
    pipeline: Pipeline, name: str, ranges: str, frames: Mapping[str, Mapping[str, pd.DataFrame]]
) -> None:
    """Assert that a step with ``split_by`` makes the same rows of neighbours in one call as of each partition alone.

    Args:
        pipeline: The pipeline that declares the step.
        name: The name of the step.
        ranges: The neighbours to make, such as ``dt=2013-02-07..dt=2013-02-09``.
        frames: The rows of each input of the step by partition key, also of the partitions on which it looks back or
            ahead. One of those that has no frame has no rows.

    Raises:
        AssertionError: a partition has other rows, columns or types. The message names the partition, the column and
            the first row that differs.
        DeclarationError: the step declares no ``split_by``, or an input has no frame of a partition to make.
    """
    step = pipeline.step(name)
    if not isinstance(step, Step) or step.split_by is None:
        raise DeclarationError(f"step {name!r} of {pipeline.name} declares no split_by; each partition is made alone")
    call = _Call(pipeline, step, step.split_by, {read: _tables(pipeline, read, frames) for read in step.reads})
    partitions = parse_ranges(ranges, pipeline.calendar)
    for partition, together in zip(partitions, call.rows(partitions), strict=True):
        (alone,) = call.rows([partition])
        difference = _difference(alone, together, step.split_by)
        if difference:
            raise AssertionError(
                f"step {name!r} of {pipeline.name} is not separable: {partition.key} in one call with {ranges} has "
                f"{difference}; remove split_by, or let {step.run} decide by times alone"
            )


@dataclass(frozen=True)
class _Call:
    """A step's function, and all that it may read."""

    pipeline: Pipeline
    step: Step
    split_by: str
    inputs: Mapping[Input, _Tables]

    def rows(self, partitions: Sequence[Partition]) -> list[pa.Table]:
        """Return the rows of each partition, made in one call as a run makes them."""
        where = f"step {self.step.name!r} of {self.pipeline.name} on {format_ranges(partitions)}: {self.step.run}"
        frames: dict[str, pd.DataFrame] = {}
        for read, tables in self.inputs.items():
            earlier = [partitions[0].shift(-n) for n in range(read.look_back, 0, -1)]
            later = [partitions[-1].shift(n) for n in range(1, read.look_ahead + 1)]
            own = [_of(tables, read, partition) for partition in partitions]
            before, after = ([tables[each] for each in some if each in tables] for some in (earlier, later))
            frames |= frames_of(read, before, own, after)
        returned = frame_of(where, resolve(self.pipeline, self.step.run)(**frames))
        return tables_by_time(where, returned, self.split_by, partitions)


def _tables(pipeline: Pipeline, read: Input, frames: Mapping[str, Mapping[str, pd.DataFrame]]) -> _Tables:
    named = [(key, table_of(f"{read.dataset} of {key}", frame)) for key, frame in frames.get(read.dataset, {}).items()]
    partitions = (Partition.parse(key, pipeline.calendar) for key, _ in named)
    return dict(zip(partitions, unified(named), strict=True))


def _of(tables: _Tables, read: Input, partition: Partition) -> pa.Table:
    if partition not in tables:
        raise DeclarationError(
            f"there is no frame of {read.dataset!r} for {partition.key}; add it to frames, or leave the partition out"
        )
    return tables[partition]


def _difference(alone: pa.Table, together: pa.Table, split_by: str) -> str | None:
    """Return what is other in rows that were made together; None if nothing is."""
    if content_digest(alone) == content_digest(together):
        return None
    columns, expected = ([f"{field.name}: {field.type}" for field in table.schema] for table in (together, alone))
    if columns != expected:
        one, other = next((one, other) for one, other in zip_longest(columns, expected) if one != other)
        return f"another column ({one}, alone {other})"
    for place in range(min(len(alone), len(together))):
        for column in alone.column_names:
            one, other = (table.select([column]).slice(place, 1) for table in (together, alone))
            if content_digest(one) != content_digest(other):
                return (
                    f"in row {place}, of {split_by}={alone[split_by][place]}, another {column!r}: {one[column][0]}, "
                    f"alone {other[column][0]}"
                )
    return f"{len(together):,} rows, alone {len(alone):,}, and those of both are equal"
