"""How far a change reaches: which partitions of a step read a partition of a source, itself or through earlier steps.

A look-back makes it reach later partitions, a look-ahead earlier ones, and a state all later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Input, Step
from sluice.errors import UnreadableObject
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.partitions import Partition
from sluice.sources.coverage import is_outside
from sluice.steps.ids.index import repeating


def dataset_of(pipeline: Pipeline, name: str) -> str:
    """Return the dataset of what a step reads: that of an earlier step, or the raw one of a source.

    Args:
        pipeline: The pipeline that declares it.
        name: The name of the source or step.
    """
    return name if pipeline.source(name) is None else raw_dataset(name)


def places_of_inputs(step: Conform | Step) -> list[tuple[Input, int]]:
    """Return the inputs of a step, each with how many partitions earlier it reads, the earliest first.

    A negative number is that of a later partition.
    """
    return [(read, n) for read in step.reads for n in range(read.look_back, -read.look_ahead - 1, -1)]


def reach(pipeline: Pipeline, step: Conform | Step) -> range:
    """Return how many partitions later a change of a source can change this step's output.

    Args:
        pipeline: The pipeline that declares the step.
        step: One of its steps.

    Returns:
        From the largest sum of look-aheads on a way from a source to the step, as a negative number, to the largest
        sum of look-backs; 0 alone if there are neither.
    """
    earlier = {known.name: known for known in pipeline.steps}
    far = [
        (read, reach(pipeline, earlier[read.dataset]) if read.dataset in earlier else range(1)) for read in step.reads
    ]
    return range(
        min(before.start - read.look_ahead for read, before in far),
        max(before.stop + read.look_back for read, before in far),
    )


def farthest(pipeline: Pipeline) -> range:
    """Return how many partitions later a change of a source can change the output of any step, as :func:`reach`."""
    far = [reach(pipeline, step) for step in pipeline.steps]
    return range(min(each.start for each in far), max(each.stop for each in far))


def known_from(pipeline: Pipeline, step: Conform | Step, partition: Partition) -> datetime:
    """Return when all that a step reads for a partition has passed: the end of the last partition (UTC).

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
        partition: The partition. Those after the pipeline's end do not come, and do not count.
    """
    later = (partition.shift(-n) for n in reach(pipeline, step) if n < 0)
    return next((each.end for each in later if not is_outside(pipeline, each)), partition.end)


def dependants(
    look: Look, pipeline: Pipeline, step: Conform | Step, partitions: Sequence[Partition]
) -> list[Partition]:
    """Return other partitions of a step that may change with some partitions, or can be made only now.

    They exist, and look back or ahead on these, or on others that repeat ids of these, itself or through other steps.
    Or they look ahead on these, and were held back until now. Those that a state reaches are :func:`followers`.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        partitions: The partitions.
    """
    far, change = reach(pipeline, step), repeating(look, pipeline, step, partitions)
    within = {partition.shift(n) for partition in change for n in far} - set(partitions)
    look.read_manifests((step.name, each) for each in within)
    made = [each for each in within if is_made(look, step.name, each)]
    earlier = {partition.shift(n) for partition in change for n in far if n < 0} & within
    return [*made, *_held_back(look, pipeline, step, earlier.difference(made))]


def followers(look: Look, pipeline: Pipeline, step: Conform | Step, partitions: Sequence[Partition]) -> set[Partition]:
    """Return all later partitions of a step that carries a state: those that exist, or were held back until now.

    It lists what is later than some partitions, and nothing before them.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        partitions: The partitions, with those that change with them.
    """
    if not partitions or not pipeline.carries_state(step):
        return set()
    first, lake = min(partitions).shift(1), look.lake
    of_steps = [read.dataset for read in step.reads if pipeline.source(read.dataset) is None]
    read = [lake.partitions_from(each, first) for each in of_steps or _own(pipeline, step)]
    ready = set[Partition].intersection(*read) if of_steps else set[Partition]().union(*read)
    made = lake.partitions_from(step.name, first)
    return {*made, *_held_back(look, pipeline, step, ready - made)}


def _own(pipeline: Pipeline, step: Conform | Step) -> list[str]:
    """Return the datasets that a step reads."""
    return [dataset_of(pipeline, read.dataset) for read in step.reads]


def _held_back(look: Look, pipeline: Pipeline, step: Conform | Step, partitions: set[Partition]) -> Iterator[Partition]:
    """Yield the partitions that were not made although the steps before have made what is read of the same time."""
    own = _own(pipeline, step)
    of_steps = [read.dataset for read in step.reads if pipeline.source(read.dataset) is None]
    look.read_manifests((dataset, each) for each in partitions for dataset in own)
    for each in partitions:
        has = [dataset for dataset in own if is_made(look, dataset, each)]
        if has and set(of_steps) <= set(has):
            yield each


def is_made(look: Look, dataset: str, partition: Partition) -> bool:
    """Return whether a partition of a dataset has a manifest, also one that can't be read.

    Args:
        look: A look at the pipeline's lake.
        dataset: The dataset, such as ``conform``.
        partition: The partition.
    """
    try:
        return look.manifest(dataset, partition) is not None
    except UnreadableObject:
        return True  # it exists; planning it raises the error
