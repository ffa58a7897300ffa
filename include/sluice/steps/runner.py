"""Runs one step over one partition: reads its inputs, runs it, persists the output, commits the manifest.

A step runs again only when its inputs or its code have changed (P4). Its output is named by the digest of its bytes,
so the steps after it run again only when the output has changed. Runs may overlap, even runs of the same partition.
After a commit the inputs are read again, and the step repeats if they have changed. So the last output was made from
the last inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

from sluice.declaration.loading import resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step, name_before
from sluice.errors import ConflictingWrite, DeclarationError, MissingResource, SluiceError
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition, format_ranges, parse_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import is_before_first_event
from sluice.records.record import read_parts
from sluice.steps.code import code_fingerprint
from sluice.steps.conform import conform
from sluice.steps.frames import read_object, to_frame
from sluice.steps.output import Output, commit
from sluice.workspace import Workspace

_ABSENT = "absent"
_SIDE_BY_SIDE = 4
_MOST_RUNS = 5


def run_step(workspace: Workspace, name: str, ranges: str) -> dict[str, Any]:
    """Run a step over each partition in ``ranges``, a few in parallel, and over later ones that look back on them.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        name: The name of the step.
        ranges: Partitions as ranges, such as ``dt=2013-01-01..dt=2013-01-14``.

    Returns:
        A summary for XCom: ``partitions`` as ranges, ``changed`` as the number of partitions with new content, and the
        sums of ``rows_in``, ``rows_out`` and ``rejected``.

    Raises:
        MissingResource: an input of a partition is not complete.
        DeclarationError: there is no such step, or its function did not return a DataFrame.
        SluiceError: the step's function failed.
        ConflictingWrite: the inputs kept changing while the step ran.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    step = pipeline.step(name)
    partitions = parse_ranges(ranges)
    targets = sorted({*partitions, *_dependants(lake, pipeline, step, partitions)})
    code = code_fingerprint(pipeline, step)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        runs = list(pool.map(partial(_run_partition, lake, pipeline, step, code), targets))
    return {
        "partitions": format_ranges(targets),
        "changed": sum(changed for _, changed in runs),
        "rows_in": sum(manifest.rows_in for manifest, _ in runs),
        "rows_out": sum(manifest.rows_out for manifest, _ in runs),
        "rejected": sum(sum(manifest.rejected.values()) for manifest, _ in runs),
    }


def reach(pipeline: Pipeline, step: Conform | Step) -> int:
    """Return how many partitions later a change of a source can still change this step's output.

    Args:
        pipeline: The pipeline that declares the step.
        step: One of its steps.

    Returns:
        The largest sum of look-backs on a way from a source to the step; 0 without any look-back.
    """
    earlier = {known.name: known for known in pipeline.steps}
    return max(
        read.look_back + (reach(pipeline, earlier[read.dataset]) if read.dataset in earlier else 0)
        for read in step.reads
    )


def _dependants(
    lake: Lake, pipeline: Pipeline, step: Conform | Step, partitions: Sequence[Partition]
) -> list[Partition]:
    """Return the partitions of the step that exist and may look back on one of ``partitions``."""
    far = reach(pipeline, step)
    if not far:
        return []
    within = {partition.shift(n) for partition in partitions for n in range(1, far + 1)}
    return [partition for partition in lake.partitions(step.name) if partition in within]


def _run_partition(
    lake: Lake, pipeline: Pipeline, step: Conform | Step, code: str, partition: Partition
) -> tuple[Manifest, bool]:
    """Return the manifest after the run, and whether its content is new."""
    changed = False
    for _ in range(_MOST_RUNS):
        found = {
            (read, n): lake.manifest(_dataset(pipeline, read), partition.shift(-n))
            for read in step.reads
            for n in range(read.look_back, -1, -1)
        }
        for read in step.reads:
            _check_complete(lake, pipeline, read, partition, found[read, 0])
        inputs = {
            f"{_dataset(pipeline, read)}/{partition.shift(-n).key}": manifest.digest if manifest else _ABSENT
            for (read, n), manifest in found.items()
        }
        current = lake.manifest(step.name, partition)
        if current is not None and current.inputs == inputs and current.code == code:
            return current, changed
        output = (
            _conform(lake, pipeline, step, found, partition)
            if isinstance(step, Conform)
            else _call(lake, pipeline, step, found, partition)
        )
        rows_in = sum(manifest.rows_out for (_, n), manifest in found.items() if manifest is not None and n == 0)
        written = commit(lake, step.name, partition, output, inputs=inputs, code=code, rows_in=rows_in)
        changed = changed or current is None or written.digest != current.digest
    raise ConflictingWrite(
        f"{lake.uri(lake.layout.partition(step.name, partition))} was made {_MOST_RUNS} times, and each time its "
        f"inputs changed during the run or a run with other code wrote it; wait for the other runs and clear this task"
    )


def _dataset(pipeline: Pipeline, read: Input) -> str:
    return read.dataset if pipeline.source(read.dataset) is None else raw_dataset(read.dataset)


def _check_complete(
    lake: Lake, pipeline: Pipeline, read: Input, partition: Partition, manifest: Manifest | None
) -> None:
    source = pipeline.source(read.dataset)
    has_events = source in pipeline.event_sources
    if manifest is None and has_events and is_before_first_event(lake, raw_dataset(read.dataset), pipeline, partition):
        return
    if manifest is None or manifest.state != "closed":
        raise MissingResource(
            f"{lake.uri(lake.layout.partition(_dataset(pipeline, read), partition))} is not complete: "
            f"it has no closed manifest; land {read.dataset!r} first, then clear this task"
        )


def _conform(
    lake: Lake,
    pipeline: Pipeline,
    step: Conform,
    found: Mapping[tuple[Input, int], Manifest | None],
    partition: Partition,
) -> Output:
    keys = [file.key for manifest in found.values() if manifest is not None for file in manifest.files]
    records, contract = read_parts(_bodies(lake, keys)), resolve(pipeline, step.contract)
    with _blamed(pipeline, step, partition):
        result = conform(records, contract)
    return Output(result.rows, result.quarantined, result.duplicates, result.rejected)


def _call(
    lake: Lake,
    pipeline: Pipeline,
    step: Step,
    found: Mapping[tuple[Input, int], Manifest | None],
    partition: Partition,
) -> Output:
    frames: dict[str, pd.DataFrame] = {}
    for read in step.reads:
        frames[read.dataset] = _frame(lake, [found[read, 0]])
        if read.look_back:
            before = _frame(lake, [found[read, n] for n in range(read.look_back, 0, -1)])
            # Without any earlier partition the step still gets the columns.
            frames[name_before(read.dataset)] = before if len(before.columns) else frames[read.dataset].iloc[:0]
    run = resolve(pipeline, step.run)
    with _blamed(pipeline, step, partition):
        return Output(_table(pipeline, step, run(**frames)))


def _table(pipeline: Pipeline, step: Step, rows: object) -> pa.Table:
    returned = f"step {step.name!r} of {pipeline.name}: {step.run} returned"
    if not isinstance(rows, pd.DataFrame):
        raise DeclarationError(f"{returned} {type(rows).__name__}; return a DataFrame")
    names = [str(name) for name in rows.index.names if name is not None]
    if names:
        raise DeclarationError(f"{returned} {', '.join(names)} as index, which is not kept; return reset_index()")
    return pa.Table.from_pandas(rows, preserve_index=False)


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


def _frame(lake: Lake, manifests: Sequence[Manifest | None]) -> pd.DataFrame:
    keys = [file.key for manifest in manifests if manifest is not None for file in manifest.files]
    return to_frame([read_object(key, body) for key, body in zip(keys, _bodies(lake, keys), strict=True)])


def _bodies(lake: Lake, keys: Sequence[str]) -> list[bytes]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lake.get, keys))
