"""Finds the partitions that are due: complete, and with content on which no transform run has started yet.

The lake records which runs have started, and on which content, in one object a month. So it alone decides what is due,
and Airflow's own records of the runs don't matter. Late data and an overwritten drop make a partition due again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.completeness import Incomplete, incomplete
from sluice.sources.contract import Connector, Contents, connect
from sluice.sources.coverage import is_outside
from sluice.workspace import Workspace

_CHUNK = 64  # partitions that are checked for completeness together
_FEW = 62  # up to so many partitions are listed one by one, more by one listing of all


class Started(BaseModel):
    """The content on which transform runs have started, for the partitions of one month.

    Attributes:
        schema_version: The version of this JSON.
        partitions: The digest of the sources' content, by partition key.
        runs: The name of the run that has started last, by partition key.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    partitions: Mapping[str, str] = Field(default_factory=dict)
    runs: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Due:
    """The partitions on which a run can start, and those that are not complete.

    Attributes:
        ready: The partitions that are due, in time order.
        waiting: Why other partitions are not complete.
    """

    ready: tuple[Partition, ...]
    waiting: tuple[Incomplete, ...]


def due_partitions(workspace: Workspace, most: int) -> Due:
    """Return the first partitions that are due between the pipeline's ``start`` and ``end``.

    A partition for which no source has anything is left out.

    Args:
        workspace: The pipeline.
        most: The most partitions to return as ready.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    contents = [connect(workspace, source).contents() for source in pipeline.sources]
    arrived = sorted(
        {
            partition
            for each in contents
            for partition in each
            if partition.every == pipeline.every and not is_outside(pipeline, partition)
        }
    )
    started = {
        Partition.parse(key): digest for each in _read_started(lake, arrived) for key, digest in each.partitions.items()
    }
    new = [partition for partition in arrived if started.get(partition) != _digest(contents, partition)]
    ready: list[Partition] = []
    waiting: list[Incomplete] = []
    for first in range(0, len(new), _CHUNK):
        some = new[first : first + _CHUNK]
        held_back = incomplete(workspace, some)
        waiting.extend(held_back)
        ready.extend(sorted(set(some) - {each.partition for each in held_back}))
        if len(ready) >= most:
            break
    return Due(tuple(ready[:most]), tuple(waiting))


def record_started(workspace: Workspace, partitions: Sequence[Partition], run_id: str) -> None:
    """Record that a run has started on the current content of some partitions.

    Args:
        workspace: The pipeline.
        partitions: The partitions of the run.
        run_id: The name of the run.

    Raises:
        ConflictingWrite: other runs kept writing the same record.
    """
    lake, one_by_one = workspace.lake, partitions if len(partitions) <= _FEW else (None,)
    contents = [_contents(connect(workspace, source), one_by_one) for source in workspace.pipeline.sources]
    months: dict[str, dict[str, str]] = defaultdict(dict)
    for partition in partitions:
        months[_month(partition)][partition.key] = _digest(contents, partition)
    for month, digests in months.items():

        def add(before: Started | None, digests: Mapping[str, str] = digests) -> Started:
            known = before or Started()
            return Started(
                partitions={**known.partitions, **digests}, runs={**known.runs, **dict.fromkeys(digests, run_id)}
            )

        lake.update(_key(lake, month), Started, add)


def last_runs(lake: Lake, partitions: Collection[Partition]) -> set[str]:
    """Return the names of the runs that have started last on some partitions. They may have ended.

    Args:
        lake: The pipeline's lake.
        partitions: The partitions. One on which no run has started adds nothing.
    """
    wanted = {partition.key for partition in partitions}
    return {run for each in _read_started(lake, partitions) for key, run in each.runs.items() if key in wanted}


def _contents(connector: Connector[Any], partitions: Sequence[Partition | None]) -> Contents:
    """Return digests of what a source has of some partitions; None means all of them."""
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(connector.contents, partitions)
        return {partition: digest for each in found for partition, digest in each.items()}


def _digest(contents: Iterable[Contents], partition: Partition) -> str:
    return digest_of([each.get(partition, "") for each in contents])[:16]


def _read_started(lake: Lake, partitions: Iterable[Partition]) -> list[Started]:
    """Return the records of the months of some partitions."""
    months = sorted({_month(partition) for partition in partitions})
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda month: lake.stored(_key(lake, month), Started).value, months)
        return [each for each in found if each is not None]


def _month(partition: Partition) -> str:
    return partition.start.date().isoformat()[:7]


def _key(lake: Lake, month: str) -> str:
    return lake.layout.started(month)
