"""Runs one step over partitions: reads the inputs, runs the step, persists the output, commits the manifest.

A step runs again only when its inputs or its code have changed (P4). Its output is named by the digest of its rows,
so the steps after it run again only when the output has changed. Runs may overlap, even runs of the same partition.
After the commits the inputs are read again, and the step repeats where they have changed. So the last output was made
from the last inputs. A partition whose ids another one turns out to have first is made again in the same way.

A step with a state makes its partitions one after the other, and goes on with later ones until a state comes out as it
was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeAlias

from sluice.declaration.steps import Conform, Step, has_state
from sluice.errors import ConflictingWrite, SluiceError
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest, Run
from sluice.lake.partitions import Partition
from sluice.steps.calling import NotAlike, call
from sluice.steps.code import code_of, require_loaded
from sluice.steps.code_record import record_code
from sluice.steps.conforming import Conforming
from sluice.steps.measuring import WORKER, Place, Stopwatch
from sluice.steps.output import Output, commit
from sluice.steps.plan import Plan, plan
from sluice.steps.planned import Planned, Span
from sluice.workspace import Workspace

# Makes a span: the output of each partition, and what it was made from.
Maker: TypeAlias = Callable[[Span], list[tuple[Planned, Output]]]
# The manifests of the partitions that were made.
Made: TypeAlias = Mapping[Partition, Manifest]

_MOST_RUNS = 5
_COMMITS_AT_ONCE = 8


def run_step(workspace: Workspace, name: str, ranges: str, place: Place = WORKER) -> dict[str, Any]:
    """Run a step over each partition in ``ranges``, a few in parallel, and over others that change with them.

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
        SluiceError: the step's function failed on a partition, or an input of it can't be read. The others are made.
        ConflictingWrite: the inputs kept changing while the step ran.
        RunInterrupted: the code has changed while the step ran.
    """
    look, changed = Look(workspace.lake), set[Partition]()
    planned = plan(workspace, name, ranges, look)
    if planned.due:
        record_code(workspace.lake, code_of(workspace.pipeline, planned.step))
    for _ in range(_MOST_RUNS):
        if not planned.due:
            look.copy_manifests()
            return summary(planned, changed)
        require_loaded(workspace.pipeline, planned.step, planned.code)
        make = _maker(workspace, planned.step)
        in_their_way = _made_in_order if has_state(planned.step) else _made_side_by_side
        made = in_their_way(look, planned, place, make)
        changed |= {each.partition for each in planned.planned if each.partition in made and _is_new(each, made)}
        look = look.again()
        planned = plan(workspace, name, ranges, look)
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

    Raises:
        UnreadableObject: other partitions could not be planned.
    """
    if planned.unreadable:
        raise planned.unreadable[0]
    manifests = [each.current for each in planned.planned if each.current is not None]
    return {
        "partitions": planned.ranges,
        "held_back": len(planned.held_back),
        "changed": len(changed),
        "rows_in": sum(manifest.rows_in for manifest in manifests),
        "rows_out": sum(manifest.rows_out for manifest in manifests),
        "rejected": sum(sum(manifest.rejected.values()) for manifest in manifests),
    }


def _maker(workspace: Workspace, step: Conform | Step) -> Maker:
    if isinstance(step, Conform):
        return Conforming(workspace, step).make
    lake, pipeline, turn = workspace.lake, workspace.pipeline, Lock()
    return lambda span: list(zip(span, call(lake, pipeline, step, span, turn), strict=True))


def _is_new(planned: Planned, made: Made) -> bool:
    """Return whether the content of a partition that was made is new."""
    return planned.current is None or planned.current.digest != made[planned.partition].digest


def _made_side_by_side(look: Look, whole: Plan, place: Place, make: Maker) -> Made:
    """Make what has to run, a few spans at a time. All are made before the first failure is raised."""
    with ThreadPoolExecutor(whole.side_by_side) as pool:
        made = [pool.submit(_make, look, whole, place, make, span) for span in whole.spans]
    return {partition: manifest for each in made for partition, manifest in each.result().items()}


def _made_in_order(look: Look, whole: Plan, place: Place, make: Maker) -> Made:
    """Make partitions one after the other, each from the state that the one before has left.

    One whose state comes out as it was is no reason to make the next one. After a failure no later one is made.
    """
    made = dict[Partition, Manifest]()
    for each in whole.planned:
        planned = each.after(made)
        if planned.made is None:
            made |= _committed(look, whole, place, make, (planned,))
    return made


def _make(look: Look, whole: Plan, place: Place, make: Maker, span: Span) -> Made:
    """Make a span.

    If it can't be made as a whole, its partitions are made one by one: so one that fails is named, and the others are
    made.
    """
    try:
        return _committed(look, whole, place, make, span)
    except (NotAlike, SluiceError):
        if len(span) == 1:
            raise
    made, failures = dict[Partition, Manifest](), list[SluiceError]()
    for each in span:
        try:
            made |= _committed(look, whole, place, make, (each,))
        except SluiceError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return made


def _committed(look: Look, whole: Plan, place: Place, make: Maker, span: Span) -> Made:
    """Make a span in one call, and commit each of its partitions."""
    step = whole.step
    stopwatch = Stopwatch(place, whole, span, time.monotonic)
    outputs = make(span)

    def write(output: tuple[Planned, Output], run: Run) -> Manifest:
        planned, rows = output
        inputs, partition = planned.inputs, planned.partition
        return commit(look, step.name, partition, rows, inputs=inputs, code=whole.code, rows_in=planned.rows, run=run)

    with ThreadPoolExecutor(_COMMITS_AT_ONCE) as pool:
        written = pool.map(write, outputs, stopwatch.read())
    return {each.partition: manifest for each, manifest in zip(span, written, strict=True)}
