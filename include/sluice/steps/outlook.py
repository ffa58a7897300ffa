"""What a transform run would do now: each step over each partition, and why. Nothing is written."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.lake.division import require_division
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.partitions import Partition
from sluice.sources.connecting import connect
from sluice.sources.coverage import is_outside
from sluice.steps.code import code_of
from sluice.steps.code_record import describe_code
from sluice.steps.lacking import Awaited
from sluice.steps.plan import find_needless, look_at, with_state
from sluice.steps.planned import Planned
from sluice.steps.reach import dataset_of, farthest
from sluice.steps.reasons import (
    LANDS_FIRST,
    MADE_FIRST,
    NEVER_MADE,
    STATE_FIRST,
    Reason,
    code_reasons,
    input_reasons,
    waiting_reasons,
)
from sluice.workspace import Workspace

_LOG = logging.getLogger(__name__)

# The partitions of datasets that the run itself writes before a step reads them.
_Written: TypeAlias = Collection[tuple[str, Partition]]


@dataclass(frozen=True)
class Outlook:
    """What a run would do for one partition of a step.

    Attributes:
        step: The name of the step.
        planned: The partition, and what it reads.
        reasons: Why it runs, or what it waits for; empty if there is nothing to do.
        lacks: What it waits for. Then it does not run.
    """

    step: str
    planned: Planned
    reasons: tuple[Reason, ...]
    lacks: tuple[Awaited, ...] = ()

    @property
    def partition(self) -> Partition:
        """The partition."""
        return self.planned.partition

    @property
    def verdict(self) -> Literal["runs", "may run", "waits", "is done"]:
        """What the run would do. It may run if only what it reads is made, or lands, in the same run before."""
        if self.lacks:
            return "waits"
        if not self.reasons:
            return "is done"
        return "runs" if any(each.certain for each in self.reasons) else "may run"


def outlook(
    workspace: Workspace,
    partitions: Sequence[Partition] | None = None,
    *,
    with_code: bool = True,
    look: Look | None = None,
) -> list[Outlook]:
    """Return what a run over some partitions would do, step by step, in order of time.

    Partitions that look back or ahead on them are included, as in a run.

    Args:
        workspace: The pipeline.
        partitions: The partitions of the run, in order; None: those for which a source has something, between the
            pipeline's start and end, and those that a step has made.
        with_code: Whether code that has changed is a reason to run. If not, the code is not read.
        look: A look at the workspace's lake; None for a new one.

    Raises:
        DeclarationError: the code of a step does not exist, or the lake is divided otherwise than is declared.
    """
    require_division(workspace.lake)
    look, pipeline = look or Look(workspace.lake), workspace.pipeline
    of_run = partitions if partitions is not None else _all_partitions(workspace)
    written = {
        (raw_dataset(source.name), partition)
        for source in pipeline.sources
        for partition in connect(workspace, source).unlanded(look).intersection(of_run)  # a run lands its own alone
    }
    found: list[Outlook] = []
    for step in pipeline.steps:
        of_step = list(_of_step(look, pipeline, step, of_run, written, with_code))
        written |= {(each.step, each.partition) for each in of_step if each.verdict in ("runs", "may run")}
        found += of_step
    return found


def _all_partitions(workspace: Workspace) -> list[Partition]:
    pipeline = workspace.pipeline
    arrived = {each for source in pipeline.sources for each in connect(workspace, source).partitions()}
    made = {each for step in pipeline.steps for each in workspace.lake.partitions(step.name)}
    of_run = made | {each for each in arrived if not is_outside(pipeline, each)}
    return sorted(of_run)


def _of_step(
    look: Look,
    pipeline: Pipeline,
    step: Conform | Step,
    of_run: Sequence[Partition],
    written: _Written,
    with_code: bool,
) -> Iterator[Outlook]:
    code = code_of(pipeline, step) if with_code else None
    record = describe_code(code) if code else None
    looked_at, unreadable = look_at(look, pipeline, step, code.fingerprint if code else "", of_run)
    readable = [each.partition for each in looked_at]
    needless = {
        each for each in find_needless(look, pipeline, step, readable) if not _will_land(pipeline, each, written)
    }
    needed = [_without(pipeline, each, written) for each in looked_at if each.partition not in needless]
    found, stopped = with_state(look, pipeline, step, needed)
    for error in unreadable + stopped:
        _LOG.error("%s. Until then its partition is left out", error)
    made = set[Partition]()  # by the run itself
    for planned in found:
        if planned.lacks:
            reasons = [*waiting_reasons(pipeline, planned.partition, planned.lacks)]
            yield Outlook(step.name, planned, tuple(reasons), planned.lacks)
            continue
        current = planned.current
        reasons = [Reason(NEVER_MADE)] if current is None else [*input_reasons(pipeline, planned, current)]
        if current is not None and record is not None and not planned.follows:
            reasons += code_reasons(look, current, planned.code, record)
        reasons += _before(pipeline, planned, written, runs=bool(reasons))
        if not reasons and planned.before is not None and planned.before.partition in made:
            reasons.append(Reason(STATE_FIRST, certain=False))
        if reasons:
            made.add(planned.partition)
        yield Outlook(step.name, planned, tuple(reasons))


def _without(pipeline: Pipeline, planned: Planned, written: _Written) -> Planned:
    """Return a partition that does not wait for what the run itself writes before."""
    lacks = tuple((name, each) for name, each in planned.lacks if (dataset_of(pipeline, name), each) not in written)
    return replace(planned, lacks=lacks)


def _will_land(pipeline: Pipeline, partition: Partition, written: _Written) -> bool:
    """Return whether the run lands something for a partition, or for one on which its steps look back or ahead."""
    within = [partition.shift(-n) for n in farthest(pipeline)]
    return any((raw_dataset(source.name), each) in written for source in pipeline.sources for each in within)


def _before(pipeline: Pipeline, planned: Planned, written: _Written, *, runs: bool) -> Iterator[Reason]:
    """Yield the inputs that the run itself writes before. Those of steps say nothing new if the step runs anyway."""
    for read, n in planned.found:
        dataset, is_raw = dataset_of(pipeline, read.dataset), pipeline.source(read.dataset) is not None
        if (dataset, planned.partition.shift(-n)) in written and (is_raw or not runs):
            yield Reason(LANDS_FIRST if is_raw else MADE_FIRST, dataset, n, certain=False)
