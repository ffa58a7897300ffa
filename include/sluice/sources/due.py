"""Finds the partitions that are due: a step can run, and no transform run has started on what the sources have.

The lake records which runs have started, on which content, and what they were held back by. So it alone decides what is
due, and Airflow's own records of the runs don't matter. Late data, an overwritten drop, and one that a step has waited
for make a partition due again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sluice.declaration.pipeline import Pipeline
from sluice.lake.division import require_division
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition
from sluice.sources.completeness import Incomplete, can_begin, incomplete
from sluice.sources.connecting import connect
from sluice.sources.contract import Contents
from sluice.sources.coverage import is_absent_for_good, is_outside
from sluice.sources.started import Started, read_started, update_started
from sluice.workspace import Workspace

_Raw: TypeAlias = tuple[str, Partition]  # the name of a source, and the partition
_CHUNK = 64  # partitions that are checked for completeness together


@dataclass(frozen=True)
class Due:
    """The partitions on which a run can start, and what is not complete.

    Attributes:
        ready: The partitions that are due, in time order; those of which something is missing come last.
        waiting: Why partitions are not complete, or not in every source.
    """

    ready: tuple[Partition, ...]
    waiting: tuple[Incomplete, ...]

    @property
    def next(self) -> tuple[Partition, ...]:
        """The partitions to start now: those of which something is missing only if no others are due."""
        lacking = {each.partition for each in self.waiting}
        return tuple(each for each in self.ready if each not in lacking) or self.ready


def due_partitions(workspace: Workspace, most: int) -> Due:
    """Return the first partitions that are due between the pipeline's ``start`` and ``end``.

    A partition for which no source has anything is left out.

    Args:
        workspace: The pipeline.
        most: The most partitions to return as ready.

    Raises:
        DeclarationError: the lake is divided otherwise than the pipeline declares.
    """
    require_division(workspace.lake)
    lake, pipeline = workspace.lake, workspace.pipeline
    contents = {source.name: connect(workspace, source).contents() for source in pipeline.sources}
    arrived = sorted(
        {partition for each in contents.values() for partition in each if not is_outside(pipeline, partition)}
    )
    record = read_started(lake, arrived)
    started = record.partitions
    released = _released(workspace, record.held_back)
    new = [each for each in arrived if started.get(each.key) != _digest(contents, each) or each.key in released]
    whole, partial, waiting = list[Partition](), list[Partition](), list[Incomplete]()
    for first in range(0, len(new), _CHUNK):
        some = new[first : first + _CHUNK]
        missing = incomplete(workspace, some)
        waiting.extend(missing)
        lacking = {each.partition for each in missing}
        for each in some:
            changed = each.key in released or started.get(each.key) != _digest(contents, each, missing)
            if changed and can_begin(pipeline, each, missing):
                (partial if each in lacking else whole).append(each)
        if len(whole) >= most:
            break
    return Due(tuple((whole + partial)[:most]), tuple(waiting))


def _released(workspace: Workspace, held_back: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the keys of partitions that were held back, and for which all has landed since, or will never come.

    A later partition that lands releases nothing: its own run makes what looks ahead on it.
    """
    look, pipeline = Look(workspace.lake), workspace.pipeline
    sources = {raw.partition("/")[0] for raws in held_back.values() for raw in raws}
    landed = {f"{source}/{each.key}" for source in sources for each in look.lake.partitions(raw_dataset(source))}

    def never_comes(raw: str) -> bool:
        name, _, key = raw.partition("/")
        source, partition = pipeline.source(name), Partition.parse(key, pipeline.calendar)
        return (
            source is None or is_outside(pipeline, partition) or is_absent_for_good(look, pipeline, source, partition)
        )

    def is_released(key: str, raws: Collection[str]) -> bool:
        missing = [raw for raw in raws if raw not in landed]
        is_ahead = any(raw.partition("/")[2] > key for raw in raws)
        return all(map(never_comes, missing)) if missing else not is_ahead

    return {key for key, raws in held_back.items() if is_released(key, raws)}


def record_started(
    workspace: Workspace, partitions: Sequence[Partition], run_id: str, missing: Iterable[Incomplete] = ()
) -> None:
    """Record that a run has started on the current content of some partitions.

    Args:
        workspace: The pipeline.
        partitions: The partitions of the run.
        run_id: The name of the run.
        missing: What is not complete; the run goes without it.

    Raises:
        ConflictingWrite: other runs kept writing the same record.
    """
    sources, missing = workspace.pipeline.sources, tuple(missing)
    contents = {source.name: connect(workspace, source).contents(partitions) for source in sources}
    digests = {partition.key: _digest(contents, partition, missing) for partition in partitions}

    def started(before: Started, keys: Collection[str]) -> Started:
        return Started(
            partitions={**before.partitions, **{key: digests[key] for key in keys}},
            runs={**before.runs, **dict.fromkeys(keys, run_id)},
            held_back={key: raws for key, raws in before.held_back.items() if key not in keys},
        )

    update_started(workspace.lake, partitions, started)


def record_held_back(workspace: Workspace, held_back: Mapping[Partition, Collection[_Raw]]) -> None:
    """Record what the last run of some partitions has waited for: once all of it has landed, they are due again.

    A partition that waits for its own drop alone needs no record: it is due anyway once its content changes. Nor does
    one that waits for a step: what that step makes is followed by what has waited for it.

    Args:
        workspace: The pipeline.
        held_back: The sources or steps, and the partitions, for which steps of a partition wait; none if they have come
            meanwhile.

    Raises:
        ConflictingWrite: other runs kept writing the same record.
    """
    recorded = {
        each.key: tuple(f"{source}/{partition.key}" for source, partition in raws)
        for each, lacks in held_back.items()
        for raws in [_other_times(workspace.pipeline, each, lacks)]
        if raws or not lacks
    }

    def waits(before: Started, keys: Collection[str]) -> Started:
        now = {key: recorded[key] for key in keys if key in recorded}
        return before.model_copy(update={"held_back": {**before.held_back, **now}})

    update_started(workspace.lake, held_back, waits)


def _other_times(pipeline: Pipeline, partition: Partition, lacks: Iterable[_Raw]) -> list[_Raw]:
    """Return the raw partitions of earlier times for which a partition waits; if there are none, those of later ones.

    So what waits for an earlier one alone goes on once that has landed.
    """
    raws = [raw for raw in lacks if pipeline.source(raw[0]) is not None]
    return [raw for raw in raws if raw[1] < partition] or [raw for raw in raws if raw[1] > partition]


def _digest(contents: Mapping[str, Contents], partition: Partition, missing: Iterable[Incomplete] = ()) -> str:
    """Return a digest of what the sources have of a partition. What is not complete may grow, and does not count."""
    lacking = {each.source for each in missing if each.partition == partition}
    found = ["" if source in lacking else each.get(partition, "") for source, each in contents.items()]
    return digest_of(found)[:16]
