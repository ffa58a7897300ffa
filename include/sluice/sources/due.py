"""Which partitions the transform has to run for: complete ones whose present content no run has begun on.

What a run has begun on is kept in the lake, in one object a month, so the lake alone says what is due. An Airflow run
that was lost, doubled or made by hand changes nothing. Late data and an overwritten drop make a partition due again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Drops, Source
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Grain, Partition, of_path
from sluice.lake.store import Lake
from sluice.sources.completeness import Incomplete, incomplete
from sluice.sources.coverage import is_outside

_AT_ONCE = 64  # partitions whose manifests are read before the next are
_FEW = 62  # a month of days: fewer partitions than this are listed one by one, more by one listing of all

# The digest of what each source holds, by partition. What a source does not hold yet has no entry.
Contents = Mapping[Partition, str]


class Started(BaseModel):
    """What transform runs have begun on in one month: for each partition key, the digest of its sources' content."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    partitions: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Due:
    """``ready`` are due, in time order; ``waiting`` is what keeps others from being due."""

    ready: tuple[Partition, ...]
    waiting: tuple[Incomplete, ...]


def due_partitions(lake: Lake, pipeline: Pipeline, most: int) -> Due:
    """The first ``most`` partitions that are due between the pipeline's ``start`` and ``end``.

    A partition of which nothing has arrived from any source is neither due nor waited for.
    """
    contents = [_contents(lake, pipeline.every, source) for source in pipeline.sources]
    arrived = sorted(
        {
            partition
            for each in contents
            for partition in each
            if partition.every == pipeline.every and not is_outside(pipeline, partition)
        }
    )
    started = _read_started(lake, arrived)
    new = [partition for partition in arrived if started.get(partition) != _digest(contents, partition)]
    ready: list[Partition] = []
    waiting: list[Incomplete] = []
    for first in range(0, len(new), _AT_ONCE):
        some = new[first : first + _AT_ONCE]
        held_back = incomplete(lake, pipeline, some)
        waiting.extend(held_back)
        ready.extend(sorted(set(some) - {each.partition for each in held_back}))
        if len(ready) >= most:
            break
    return Due(tuple(ready[:most]), tuple(waiting))


def record_started(lake: Lake, pipeline: Pipeline, partitions: Sequence[Partition]) -> None:
    """Record that a run has begun on the present content of these partitions.

    Raises:
        ConflictingWrite: other runs kept writing the same record.
    """
    one_by_one = partitions if len(partitions) <= _FEW else ()
    contents = [_contents(lake, pipeline.every, source, one_by_one) for source in pipeline.sources]
    months: dict[str, dict[str, str]] = defaultdict(dict)
    for partition in partitions:
        months[_month(partition)][partition.key] = _digest(contents, partition)
    for month, begun in months.items():

        def add(before: Started | None, begun: Mapping[str, str] = begun) -> Started:
            return Started(partitions={**(before.partitions if before else {}), **begun})

        lake.update(_key(lake, month), Started, add)


def _contents(lake: Lake, every: Grain, source: Source, partitions: Sequence[Partition] = ()) -> Contents:
    """What a source holds, of all partitions or of these alone. It costs listings only."""

    def listed(partition: Partition | None) -> Contents:
        landed = lake.manifest_etags(raw_dataset(source.name), partition)
        # A drop is known by its objects, and by what was landed of it once its sender has removed them.
        return {**landed, **_dropped(lake, every, source, partition)} if isinstance(source, Drops) else landed

    with ThreadPoolExecutor(16) as pool:
        found = pool.map(listed, partitions or (None,))
        return {partition: digest for each in found for partition, digest in each.items()}


def _dropped(lake: Lake, every: Grain, source: Drops, partition: Partition | None) -> Contents:
    by_partition: dict[Partition, list[str]] = defaultdict(list)
    for key, _, etag in lake.objects(source.prefix if partition is None else f"{source.prefix}{partition.key}/"):
        found = of_path(key.removeprefix(source.prefix), every)
        if found is not None:
            by_partition[found].extend((key, etag))
    return {each: digest_of(objects) for each, objects in by_partition.items()}


def _digest(contents: Iterable[Contents], partition: Partition) -> str:
    return digest_of([each.get(partition, "") for each in contents])[:16]


def _read_started(lake: Lake, partitions: Iterable[Partition]) -> dict[Partition, str]:
    months = sorted({_month(partition) for partition in partitions})
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda month: lake.stored(_key(lake, month), Started).value, months)
        return {
            Partition.parse(key): digest
            for each in found
            if each is not None
            for key, digest in each.partitions.items()
        }


def _month(partition: Partition) -> str:
    return partition.start.date().isoformat()[:7]


def _key(lake: Lake, month: str) -> str:
    return lake.layout.started(month)
