"""Finds what holds a step back: partitions that are not complete, and that it or a step before it reads.

A step with a state also waits for the nearest earlier partition of its own that has something to make.

A drop that is missing holds back the partitions whose steps read it, look-back included, and nothing else. An earlier
partition of a queue or stream holds back nothing: partitions close in order. A later one, on which a step looks ahead,
does until it is closed, and until the steps before have made theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, product
from operator import itemgetter
from typing import TypeAlias

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step, has_state
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.landing.closing import is_empty_by_rule
from sluice.sources.completeness import short_ranges
from sluice.sources.coverage import is_absent_for_good, is_before_all_events, is_outside
from sluice.steps.before import find_before
from sluice.steps.reach import dataset_of, farthest, is_made, places_of_inputs, reach
from sluice.workspace import Workspace

# What a step waits for: the name of a source, of a step before it or of the step itself, and the partition.
Awaited: TypeAlias = tuple[str, Partition]
# The manifest of each input, and of how many partitions earlier, negative for later; None if there is none.
Found: TypeAlias = Mapping[tuple[Input, int], Manifest | None]


def find_inputs(look: Look, pipeline: Pipeline, step: Conform | Step, partition: Partition) -> Found:
    """Read the manifests of what a step reads for a partition, the earliest first.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        partition: The partition.
    """
    return {
        (read, n): look.manifest(dataset_of(pipeline, read.dataset), partition.shift(-n))
        for read, n in places_of_inputs(step)
    }


def read_inputs(look: Look, pipeline: Pipeline, step: Conform | Step, partitions: Sequence[Partition]) -> None:
    """Read the manifests that :func:`find_inputs` and :func:`lacking` ask for, many at a time.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        partitions: Its partitions.
    """
    datasets = [(dataset_of(pipeline, read.dataset), n) for read, n in places_of_inputs(step)]
    look.read_manifests((dataset, each.shift(-n)) for each in partitions for dataset, n in datasets)
    if has_state(step):  # of the partition just before, find_before asks whether it was made, or has something to make
        earlier = [each.shift(-1) for each in partitions]
        look.read_manifests((step.name, each) for each in earlier)
        to_make = [each for each in earlier if not is_made(look, step.name, each)]
        look.read_manifests((raw_dataset(name), each) for each in to_make for name in pipeline.sources_of[step.name])
    coming = [max(partitions).shift(-n) for n in reach(pipeline, step) if n < 0] if partitions else []
    look.read_manifests((raw_dataset(name), each) for each in coming for name in pipeline.sources_of[step.name])


def lacking_of(
    look: Look, pipeline: Pipeline, step: Conform | Step, partition: Partition, made: Partition | None = None
) -> tuple[Awaited, ...]:
    """Return what a step has to wait for before it makes a partition: what it reads, and then the state before it.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        partition: Its partition.
        made: As for :func:`lacking`.
    """
    lacks = lacking(look, pipeline, partition, find_inputs(look, pipeline, step, partition), made)
    before = find_before(look, pipeline, step, partition) if has_state(step) and not lacks else None
    return lacks if before is None else lacking_state(look, pipeline, step, before)


def lacking_state(look: Look, pipeline: Pipeline, step: Conform | Step, before: Partition) -> tuple[Awaited, ...]:
    """Return what has to come before the state after a partition is there: what it waits for itself, or the partition.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: A step with a state.
        before: The partition, as :func:`sluice.steps.before.find_before` returns it.
    """
    manifest = look.manifest(step.name, before)
    if manifest is not None and manifest.carried is not None:
        return ()
    return lacking(look, pipeline, before, find_inputs(look, pipeline, step, before)) or ((step.name, before),)


def lacking(
    look: Look, pipeline: Pipeline, partition: Partition, found: Found, made: Partition | None = None
) -> tuple[Awaited, ...]:
    """Return the partitions that have to be complete before a step runs, and are not.

    Of the later partitions of an input only the last one is returned, because partitions close in order.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        partition: The partition of the step.
        found: What it reads, as :func:`find_inputs` returns it.
        made: The partition that is to be made, if another step looks back or ahead on ``partition`` for it.
    """

    def lacking_of(read: Input, n: int) -> Iterable[Awaited]:
        return _lacking_of(look, pipeline, read, partition.shift(-n), found[read, n], made or partition)

    lacks = dict.fromkeys(each for read, n in found if n >= 0 for each in lacking_of(read, n))
    for read in dict.fromkeys(read for read, _ in found):
        of_later = (lacking_of(read, n) for n in range(-read.look_ahead, 0))
        lacks |= dict.fromkeys(next(filter(None, of_later), ()))
    return tuple(lacks)


def needless(look: Look, pipeline: Pipeline, partitions: Iterable[Partition]) -> set[Partition]:
    """Return those of some partitions for which no step has anything to make.

    No source has, or will have, anything of them that a step reads. A gap in a history is needless, but not while a
    step looks back on rows before it, or ahead on rows after it.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline.
        partitions: The partitions.
    """
    far = farthest(pipeline)
    read = {partition: [partition.shift(-n) for n in far] for partition in partitions}
    once = {each for window in read.values() for each in window}  # windows overlap
    look.read_manifests((raw_dataset(source.name), each) for each in once for source in pipeline.sources)
    absent = {
        each for each in once if all(is_absent_for_good(look, pipeline, source, each) for source in pipeline.sources)
    }
    return {partition for partition, window in read.items() if absent.issuperset(window)}


def held_back(
    workspace: Workspace, steps: Sequence[Conform | Step], partitions: Sequence[Partition]
) -> dict[Partition, tuple[Awaited, ...]]:
    """Return what steps wait for, for each partition in which one of them waits.

    Args:
        workspace: The pipeline that declares the steps.
        steps: The steps.
        partitions: Their partitions.
    """
    look, pipeline, waits = Look(workspace.lake), workspace.pipeline, dict[Partition, tuple[Awaited, ...]]()
    for step in steps:
        read_inputs(look, pipeline, step, partitions)
    for step, partition in product(steps, partitions):
        lacks = lacking_of(look, pipeline, step, partition)
        if lacks:
            waits[partition] = tuple(dict.fromkeys((*waits.get(partition, ()), *lacks)))
    return waits


def describe_held_back(waits: Mapping[Partition, Iterable[Awaited]]) -> str:
    """Describe what is held back in one line, such as ``dt=2013-01-05..dt=2013-01-06 waits for weather dt=2013-01-05``.

    Args:
        waits: As :func:`held_back` returns it.
    """
    awaited = [
        f"{name} {short_ranges([partition for _, partition in group])}"
        for name, group in groupby(sorted({each for lacks in waits.values() for each in lacks}), key=itemgetter(0))
    ]
    return f"{short_ranges(sorted(waits))} waits for {', '.join(awaited)}"


def _lacking_of(
    look: Look, pipeline: Pipeline, read: Input, partition: Partition, manifest: Manifest | None, made: Partition
) -> tuple[Awaited, ...]:
    """Return what is lacking of an input for the partition that is to be made; nothing if the input is complete."""
    if manifest is not None and manifest.state == "closed":
        return ()
    if partition != made and is_outside(pipeline, partition):
        return ()
    source = pipeline.source(read.dataset)
    if source is None:
        return _lacking_of_step(look, pipeline, pipeline.step(read.dataset), partition, made)
    if source in pipeline.event_sources:
        needless = partition < made or (manifest is None and is_empty_by_rule(look, source.name, partition))
    else:
        needless = partition != made and is_before_all_events(look, pipeline, partition)
    return () if needless else ((source.name, partition),)


def _lacking_of_step(
    look: Look, pipeline: Pipeline, step: Conform | Step, partition: Partition, made: Partition
) -> tuple[Awaited, ...]:
    """Return what is lacking of a step that has not made its partition."""
    sources = pipeline.sources_of[step.name]
    if partition < made and sources.issubset(each.name for each in pipeline.event_sources):
        return ()
    lacks = lacking_of(look, pipeline, step, partition, made)
    by_another_run = reach(pipeline, step).start < 0 or pipeline.carries_state(step)
    if lacks or not (partition > made or by_another_run):
        return lacks
    # Another run makes it, and then what reads it. Of a gap there is no run.
    has_landed = any(look.manifest(raw_dataset(name), partition) for name in sources)
    return ((step.name, partition),) if has_landed else ()
