"""Finds what holds a step back: raw partitions that are not complete, and that it or a step before it reads.

A drop that is missing holds back the partitions whose steps read it, look-back included, and nothing else. An earlier
partition of a queue or stream holds back nothing: partitions close in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, product
from typing import TypeAlias

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Source
from sluice.declaration.steps import Conform, Input, Step
from sluice.errors import UnreadableObject
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.landing.closing import is_empty_by_rule
from sluice.sources.completeness import short_ranges, sources_of
from sluice.sources.coverage import is_outside
from sluice.workspace import Workspace

# A raw partition: the name of its source, and the partition.
Raw: TypeAlias = tuple[str, Partition]
# The manifest of each input, and of how many partitions earlier; None if there is none.
Found: TypeAlias = Mapping[tuple[Input, int], Manifest | None]


def dataset_of(pipeline: Pipeline, read: Input) -> str:
    """Return the dataset of an input: that of a step, or the raw one of a source.

    Args:
        pipeline: The pipeline that declares the input's source or step.
        read: The input.
    """
    return read.dataset if pipeline.source(read.dataset) is None else raw_dataset(read.dataset)


def find_inputs(look: Look, pipeline: Pipeline, step: Conform | Step, partition: Partition) -> Found:
    """Read the manifests of what a step reads for a partition, the earliest first.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        partition: The partition.
    """
    return {
        (read, n): look.manifest(dataset_of(pipeline, read), partition.shift(-n)) for read, n in places_of_inputs(step)
    }


def places_of_inputs(step: Conform | Step) -> list[tuple[Input, int]]:
    """Return the inputs of a step, each with how many partitions earlier it reads, the earliest first."""
    return [(read, n) for read in step.reads for n in range(read.look_back, -1, -1)]


def lacking(
    look: Look, pipeline: Pipeline, partition: Partition, found: Found, *, is_earlier: bool = False
) -> tuple[Raw, ...]:
    """Return the raw partitions that have to be complete before a step runs, and are not.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        partition: The partition of the step.
        found: What it reads, as :func:`find_inputs` returns it.
        is_earlier: Whether another step looks back on this partition.
    """
    lacks: dict[Raw, None] = {}
    for (read, n), manifest in found.items():
        if manifest is None or manifest.state != "closed":
            of_input = _lacking_of(look, pipeline, read, partition.shift(-n), manifest, is_earlier or n > 0)
            lacks |= dict.fromkeys(of_input)
    return tuple(lacks)


def is_needless(look: Look, pipeline: Pipeline, partition: Partition) -> bool:
    """Return whether no step has anything to make: no source has, or will have, anything that one of them reads.

    A gap in a history is needless, but not while a step looks back on rows before it.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline.
        partition: The partition.
    """
    return all(
        _is_absent_for_good(look, pipeline, source, partition.shift(-n))
        for n in range(farthest(pipeline) + 1)
        for source in pipeline.sources
    )


def _is_absent_for_good(look: Look, pipeline: Pipeline, source: Source, partition: Partition) -> bool:
    try:
        if look.manifest(raw_dataset(source.name), partition) is not None:
            return False
    except UnreadableObject:
        return False
    if source in pipeline.event_sources:
        return is_empty_by_rule(look, source.name, partition)
    return _is_before_all_events(look, pipeline, partition)


def farthest(pipeline: Pipeline) -> int:
    """Return how many partitions later a change of a source can still change the output of any step."""
    return max((reach(pipeline, step) for step in pipeline.steps), default=0)


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


def held_back(
    workspace: Workspace, steps: Iterable[Conform | Step], partitions: Sequence[Partition]
) -> dict[Partition, tuple[Raw, ...]]:
    """Return the raw partitions for which steps wait, for each partition in which one of them waits.

    Args:
        workspace: The pipeline that declares the steps.
        steps: The steps.
        partitions: Their partitions.
    """
    look, pipeline, waits = Look(workspace.lake), workspace.pipeline, dict[Partition, tuple[Raw, ...]]()
    pairs = list(product(steps, partitions))
    look.read_manifests(
        (dataset_of(pipeline, read), partition.shift(-n))
        for step, partition in pairs
        for read, n in places_of_inputs(step)
    )
    for step, partition in pairs:
        lacks = lacking(look, pipeline, partition, find_inputs(look, pipeline, step, partition))
        if lacks:
            waits[partition] = tuple(dict.fromkeys((*waits.get(partition, ()), *lacks)))
    return waits


def describe_held_back(waits: Mapping[Partition, Iterable[Raw]]) -> str:
    """Describe what is held back in one line, such as ``dt=2013-01-05..dt=2013-01-06 waits for weather dt=2013-01-05``.

    Args:
        waits: As :func:`held_back` returns it.
    """
    raws = sorted({raw for each in waits.values() for raw in each})
    awaited = [
        f"{source} {short_ranges([partition for _, partition in group])}"
        for source, group in groupby(raws, key=lambda raw: raw[0])
    ]
    return f"{short_ranges(sorted(waits))} waits for {', '.join(awaited)}"


def _lacking_of(
    look: Look, pipeline: Pipeline, read: Input, partition: Partition, manifest: Manifest | None, is_earlier: bool
) -> Iterable[Raw]:
    """Return what is lacking of an input that has no closed manifest."""
    if is_earlier and is_outside(pipeline, partition):
        return ()
    source = pipeline.source(read.dataset)
    if source is None:
        step = pipeline.step(read.dataset)
        if is_earlier and sources_of(pipeline, step).issubset(each.name for each in pipeline.event_sources):
            return ()
        before = find_inputs(look, pipeline, step, partition)
        return lacking(look, pipeline, partition, before, is_earlier=is_earlier)
    if source in pipeline.event_sources:
        needless = is_earlier or (manifest is None and is_empty_by_rule(look, source.name, partition))
    else:
        needless = is_earlier and _is_before_all_events(look, pipeline, partition)
    return () if needless else ((source.name, partition),)


def _is_before_all_events(look: Look, pipeline: Pipeline, partition: Partition) -> bool:
    """Return whether a partition is empty by rule in every queue and stream: then no run makes it."""
    return bool(pipeline.event_sources) and all(
        is_empty_by_rule(look, source.name, partition) and look.manifest(raw_dataset(source.name), partition) is None
        for source in pipeline.event_sources
    )
