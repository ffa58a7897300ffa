"""Finds what has landed or was dropped but is covered by no scheduled run, for ``status`` and ``redrive``.

An event whose time can't be read lands in the partition in which it was sent. That partition may be after the
pipeline's end, and then no scheduled run conforms it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource, Source
from sluice.declaration.steps import Conform
from sluice.errors import UnreadableObject
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.readable import readable_manifests
from sluice.lake.store import Lake
from sluice.landing.closing import is_empty_by_rule
from sluice.sources.connecting import connect
from sluice.workspace import Workspace


def is_outside(pipeline: Pipeline, partition: Partition) -> bool:
    """Return whether no scheduled run covers a partition. A manual run may cover it.

    Args:
        pipeline: The pipeline, which declares its start and end.
        partition: The partition.
    """
    return partition.start < pipeline.first.start or (pipeline.end is not None and partition.start > pipeline.end)


def is_absent_for_good(look: Look, pipeline: Pipeline, source: Source, partition: Partition) -> bool:
    """Return whether a source has nothing of a partition, and will never have anything that is expected.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the source.
        source: The source.
        partition: The partition.
    """
    try:
        if look.manifest(raw_dataset(source.name), partition) is not None:
            return False
    except UnreadableObject:
        return False
    if source in pipeline.event_sources:
        return is_empty_by_rule(look, source.name, partition)
    return is_before_all_events(look, pipeline, partition)


def is_before_all_events(look: Look, pipeline: Pipeline, partition: Partition) -> bool:
    """Return whether a partition is empty by rule in every queue and stream: then no run makes it.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline.
        partition: The partition.
    """
    return bool(pipeline.event_sources) and all(
        is_empty_by_rule(look, source.name, partition) and look.manifest(raw_dataset(source.name), partition) is None
        for source in pipeline.event_sources
    )


def outside(workspace: Workspace, source: Source) -> list[Partition]:
    """Return the partitions outside start and end for which the source has landed or can land something.

    Args:
        workspace: The pipeline, which declares its start and end.
        source: The source.
    """
    found = connect(workspace, source).partitions()
    return sorted(partition for partition in found if is_outside(workspace.pipeline, partition))


def not_conformed(lake: Lake, pipeline: Pipeline, source: Source, raw: Iterable[Manifest]) -> int:
    """Count the raw records that no ``Conform`` step has read yet.

    Args:
        lake: The lake, which has the manifests of the steps.
        pipeline: The pipeline, which declares the steps.
        source: The source of the records.
        raw: The manifests of the source's raw partitions.
    """
    steps = conform_steps(pipeline, source.name)
    readable = (readable_manifests(Look(lake), step.name)[0] for step in steps)
    read = [{each.partition: each.rows_in for each in manifests} for manifests in readable] or [{}]
    return sum(max(0, each.rows_out - min(seen.get(each.partition, 0) for seen in read)) for each in raw)


def conform_steps(pipeline: Pipeline, source: str) -> list[Conform]:
    """Return the ``Conform`` steps of a source.

    Args:
        pipeline: The pipeline, which declares the steps.
        source: The name of the source.
    """
    return [step for step in pipeline.steps if isinstance(step, Conform) and step.source == source]


def outside_and_not_conformed(workspace: Workspace, source: EventSource) -> list[Manifest]:
    """Return the raw manifests outside start and end that no ``Conform`` step has read.

    Args:
        workspace: The pipeline, which declares its start, its end and the steps.
        source: The source of the records.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    conformed = {partition for step in conform_steps(pipeline, source.name) for partition in lake.partitions(step.name)}
    dataset = raw_dataset(source.name)
    partitions = [each for each in outside(workspace, source) if each not in conformed]
    found = (lake.manifest(dataset, partition) for partition in partitions)
    return [manifest for manifest in found if manifest is not None]
