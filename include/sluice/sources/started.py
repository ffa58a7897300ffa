"""The lake's records of the transform runs that have started: on which content, and what held them back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.lake.layout import Folder
from sluice.lake.partitions import Partition
from sluice.lake.periods import by_period
from sluice.lake.store import Lake


class Started(BaseModel):
    """The content on which transform runs have started, for the partitions of a year, or for the hours of a month.

    Attributes:
        schema_version: The version of this JSON.
        partitions: The digest of the sources' content, by partition key.
        runs: The name of the run that has started last, by partition key.
        held_back: The raw partitions, such as ``weather/dt=2013-01-05``, that steps of the run look back on and that
            had not landed, by partition key. If there are none: those that steps look ahead on.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    partitions: Mapping[str, str] = Field(default_factory=dict)
    runs: Mapping[str, str] = Field(default_factory=dict)
    held_back: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)


def read_started(lake: Lake, partitions: Iterable[Partition]) -> Started:
    """Return what is recorded of some partitions, and of others of the same periods.

    Args:
        lake: The pipeline's lake.
        partitions: The partitions.

    Raises:
        UnreadableObject: a record is no JSON, or one of a newer version of Sluice.
    """
    there = _records(lake)
    return _read(lake, [key for period in by_period(partitions) for key in _keys(lake, period, there)])


def last_runs(lake: Lake, partitions: Collection[Partition]) -> set[str]:
    """Return the names of the runs that have started last on some partitions. They may have ended.

    Args:
        lake: The pipeline's lake.
        partitions: The partitions. One on which no run has started adds nothing.
    """
    wanted = {partition.key for partition in partitions}
    return {run for key, run in read_started(lake, partitions).runs.items() if key in wanted}


def update_started(
    lake: Lake, partitions: Iterable[Partition], change: Callable[[Started, Collection[str]], Started]
) -> None:
    """Change what is recorded of some partitions.

    Args:
        lake: The pipeline's lake.
        partitions: The partitions.
        change: Returns the changed record of a period; it gets the present one, and the keys of the partitions.

    Raises:
        ConflictingWrite: other runs kept writing the same record.
        UnreadableObject: a record is no JSON, or one of a newer version of Sluice.
    """
    for period, some in by_period(partitions).items():
        keys = [each.key for each in some]

        def changed(before: Started | None, period: str = period, keys: Collection[str] = keys) -> Started:
            return change(before or _read(lake, _keys(lake, period, _records(lake))), keys)

        lake.update(lake.layout.started(period), Started, changed)


def _records(lake: Lake) -> set[str]:
    return set(lake.documents(lake.layout.dataset(Folder.STARTED)))


def _keys(lake: Lake, period: str, there: Collection[str]) -> list[str]:
    """Return the keys of the records of a period: version 0.2 wrote one for each month."""
    whole = lake.layout.started(period)
    months = whole.removesuffix(".json") + "-"
    return [whole] if whole in there else sorted(key for key in there if key.startswith(months))


def _read(lake: Lake, keys: Iterable[str]) -> Started:
    with ThreadPoolExecutor(16) as pool:
        read = pool.map(lambda key: lake.stored(key, Started).value or Started(), keys)
        found = list(read)
    return Started(
        partitions={key: digest for each in found for key, digest in each.partitions.items()},
        runs={key: run for each in found for key, run in each.runs.items()},
        held_back={key: raws for each in found for key, raws in each.held_back.items()},
    )
