"""What has landed, or was dropped, and is covered by no run: nothing of that is out of sight.

An event whose time can't be read lands in the partition of the day on which it was sent. That day may lie behind the
pipeline's end, so no scheduled run ever conforms it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource, Source
from sluice.declaration.steps import Conform
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.contract import connect
from sluice.workspace import Workspace


def is_outside(pipeline: Pipeline, partition: Partition) -> bool:
    """Whether no scheduled run is about the partition; a run by hand may be."""
    first = Partition.containing(pipeline.start, pipeline.every).start
    return partition.start < first or (pipeline.end is not None and partition.start > pipeline.end)


def outside(workspace: Workspace, source: Source) -> list[Partition]:
    """The partitions outside start and end that hold something of the source: landed, or waiting to be."""
    found = connect(workspace, source).partitions()
    return sorted(partition for partition in found if is_outside(workspace.pipeline, partition))


def not_conformed(lake: Lake, pipeline: Pipeline, source: Source, raw: Iterable[Manifest]) -> int:
    """How many raw records of the source's ``raw`` manifests no ``Conform`` step has read, or not since they landed."""
    steps = conform_steps(pipeline, source.name)
    read = [{each.partition: each.rows_in for each in lake.manifests(step.name)} for step in steps] or [{}]
    return sum(max(0, each.rows_out - min(seen.get(each.partition, 0) for seen in read)) for each in raw)


def conform_steps(pipeline: Pipeline, source: str) -> list[Conform]:
    """The ``Conform`` steps of a source."""
    return [step for step in pipeline.steps if isinstance(step, Conform) and step.source == source]


def outside_and_not_conformed(workspace: Workspace, source: EventSource) -> list[Manifest]:
    """The raw manifests outside start and end that no ``Conform`` step has read."""
    lake, pipeline = workspace.lake, workspace.pipeline
    conformed = {partition for step in conform_steps(pipeline, source.name) for partition in lake.partitions(step.name)}
    dataset = raw_dataset(source.name)
    partitions = [each for each in outside(workspace, source) if each not in conformed]
    found = (lake.manifest(dataset, partition) for partition in partitions)
    return [manifest for manifest in found if manifest is not None]
