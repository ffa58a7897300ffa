"""What a step has to do: its partitions, what each reads, and which of them have to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step, has_state
from sluice.errors import MissingResource, UnreadableObject
from sluice.lake.look import Look
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition, covering_ranges, format_ranges, parse_ranges
from sluice.steps.before import Before, find_before
from sluice.steps.code import code_fingerprint
from sluice.steps.ids.index import Index, index_of
from sluice.steps.lacking import find_inputs, lacking, lacking_state, needless, read_inputs
from sluice.steps.planned import ABSENT, Planned, Span
from sluice.steps.reach import dataset_of, dependants, followers
from sluice.workspace import Workspace

# How many bytes of objects one call of a step's function reads at most, if it makes several partitions. Four times as
# much would save a tenth of the time of a range of flights, and take a quarter more memory.
LARGEST_SPAN = 2**20


@dataclass(frozen=True)
class Plan:
    """What a step has to do for some partitions, and for others that look back or ahead on them.

    Attributes:
        step: The step.
        code: The fingerprint of its code.
        planned: The partitions, in order. With a state, some may turn out to have to run once the one before is made.
        held_back: Those of the run that can't be made yet, because something that they read is not complete.
        needless: Those for which no step has anything to make. They have no output, and count as made.
        unreadable: Why others can't be planned: one of their manifests can't be read.
    """

    step: Conform | Step
    code: str
    planned: Sequence[Planned]
    held_back: Sequence[Planned] = ()
    needless: Sequence[Partition] = ()
    unreadable: Sequence[UnreadableObject] = ()

    @property
    def ranges(self) -> str:
        """All of its partitions, and the needless ones, as ranges that are short enough for XCom (P11).

        Of many later ones that only follow, a few ranges cover the gaps as well.
        """
        made = [*(each.partition for each in self.planned), *self.needless]
        asked = [*(each.partition for each in self.planned if not each.follows), *self.needless]
        last = max([*asked, *(each.partition for each in self.held_back)], default=None)
        later = [each for each in made if last is not None and each > last]
        return ",".join(filter(None, [format_ranges(set(made).difference(later)), covering_ranges(later)]))

    @cached_property
    def due(self) -> tuple[Planned, ...]:
        """The partitions that have to run: their inputs or the code have changed, or they were never made."""
        return tuple(each for each in self.planned if each.made is None)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """What has to run, by calls of the step's function.

        A call makes one partition; of a step whose rows are split by their time as many neighbours as fit. One for
        which an input has no object is made alone, as its function gets no columns of it. A ``Conform`` makes as many
        partitions as fit, because their ids are compared with the same others.
        """
        spans: list[list[Planned]] = []
        held = 0
        for each in self.due:
            held += each.own_size
            if spans and held <= LARGEST_SPAN and self._joins(spans[-1][-1], each):
                spans[-1].append(each)
            else:
                spans.append([each])
                held = each.size
        return tuple(map(tuple, spans))

    def _joins(self, before: Planned, each: Planned) -> bool:
        """Whether a partition is made in one call with the one before."""
        return self.is_joined and (isinstance(self.step, Conform) or _are_neighbours(before, each))

    @property
    def side_by_side(self) -> int:
        """How many calls are made ready at the same time. A step's function itself runs in one of them at a time."""
        if has_state(self.step):
            return 1
        return 2 if self.is_joined else 4

    @property
    def is_joined(self) -> bool:
        """Whether one call can make several partitions."""
        return isinstance(self.step, Conform) or self.step.split_by is not None

    @property
    def bytes_at_once(self) -> int:
        """The most bytes of inputs that the run has to hold at one time."""
        sizes = [span[0].size + sum(each.own_size for each in span[1:]) for span in self.spans]
        return sum(sorted(sizes, reverse=True)[: self.side_by_side])

    @property
    def digest(self) -> str:
        """The digest of what has to run. It is the same for the same step, partitions, inputs and code."""
        return digest_of([self.step.name, self.code, [[each.partition.key, dict(each.inputs)] for each in self.due]])


def plan(workspace: Workspace, name: str, ranges: str, look: Look | None = None) -> Plan:
    """Read what a step has to do. Nothing is written.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        name: The name of the step.
        ranges: Partitions as ranges, such as ``dt=2013-01-01..dt=2013-01-14``.
        look: A look at the workspace's lake; None for a new one.

    Raises:
        MissingResource: a step before it has not made a partition.
        DeclarationError: there is no such step, or its module does not exist.
    """
    look, pipeline = look or Look(workspace.lake), workspace.pipeline
    step = pipeline.step(name)
    partitions = parse_ranges(ranges, pipeline.calendar)
    code = code_fingerprint(pipeline, step)
    looked_at, unreadable = look_at(look, pipeline, step, code, partitions)
    needless = find_needless(look, pipeline, step, [each.partition for each in looked_at])
    found, stopped = with_state(look, pipeline, step, [each for each in looked_at if each.partition not in needless])
    for each in found:
        _require_inputs(look, pipeline, step, each)
    held_back = [each for each in found if each.lacks and each.partition in partitions]
    ready = [each for each in found if not each.lacks]
    return Plan(step, code, ready, held_back, sorted(needless), unreadable + stopped)


def find_needless(look: Look, pipeline: Pipeline, step: Conform | Step, targets: Iterable[Partition]) -> set[Partition]:
    """Return the partitions that were never made, and for which there is nothing to make.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step.
        targets: The partitions to choose from.
    """
    own = [step.name, *(dataset_of(pipeline, read.dataset) for read in step.reads)]
    return needless(
        look, pipeline, [each for each in targets if not any(look.manifest(dataset, each) for dataset in own)]
    )


def look_at(
    look: Look, pipeline: Pipeline, step: Conform | Step, code: str, partitions: Sequence[Partition]
) -> tuple[list[Planned], list[UnreadableObject]]:
    """Read partitions of a step, and others that may change with them: what each reads, and what of it each waits for.

    Args:
        look: A look at the pipeline's lake. Nothing is written.
        pipeline: The pipeline that declares the step.
        step: The step.
        code: The fingerprint of its code.
        partitions: The partitions of the run.

    Returns:
        All of these in order, and why some are left out: one of their manifests can't be read.
    """
    near = {*partitions, *dependants(look, pipeline, step, partitions)}
    targets = sorted(near | followers(look, pipeline, step, sorted(near)))
    look.read_manifests((step.name, each) for each in targets)
    read_inputs(look, pipeline, step, targets)
    index = index_of(look, step)
    if index is not None:
        index.read(targets)
    found, unreadable = list[Planned](), list[UnreadableObject]()
    for each in targets:
        try:
            planned = replace(_planned(look, pipeline, step, code, each), follows=each not in near)
            found.append(planned if index is None else _with_ids(index, planned))
        except UnreadableObject as error:
            unreadable.append(error)
    return found, unreadable


def with_state(
    look: Look, pipeline: Pipeline, step: Conform | Step, planned: Sequence[Planned]
) -> tuple[list[Planned], list[UnreadableObject]]:
    """Return partitions of a step with the state before each, or with what each waits for before it.

    Args:
        look: A look at the pipeline's lake. Nothing is written.
        pipeline: The pipeline that declares the step.
        step: The step. Without a state, nothing is added.
        planned: The partitions, in order. Those that wait for nothing count as made before those after them.

    Returns:
        The partitions, and why some are left out: the manifest of the one before can't be read.
    """
    if not has_state(step):
        return list(planned), []
    found, unreadable, coming = list[Planned](), list[UnreadableObject](), set[Partition]()
    for each in planned:
        try:
            known = each if each.lacks else _with_before(look, pipeline, step, each, coming)
        except UnreadableObject as error:
            unreadable.append(error)
            continue
        found.append(known)
        if not known.lacks and (known.current is None or known.current.carried is None):
            coming.add(known.partition)
    return found, unreadable


def _with_before(
    look: Look, pipeline: Pipeline, step: Step, planned: Planned, coming: Collection[Partition]
) -> Planned:
    before = find_before(look, pipeline, step, planned.partition, coming)
    if before is None:
        return planned
    lacks = () if before in coming else lacking_state(look, pipeline, step, before)
    state = None if lacks else Before(step.name, before, look.manifest(step.name, before))
    return replace(planned, lacks=lacks, before=state)


def _require_inputs(look: Look, pipeline: Pipeline, step: Conform | Step, planned: Planned) -> None:
    """Require that the steps before have made what a partition reads of its own time, unless it waits."""
    for read in step.reads:
        if not planned.lacks and planned.found[read, 0] is None and pipeline.source(read.dataset) is None:
            raise MissingResource(
                f"{look.lake.uri(look.layout.partition(read.dataset, planned.partition))} has no manifest; run step "
                f"{read.dataset!r} first, then clear this task"
            )


def _planned(look: Look, pipeline: Pipeline, step: Conform | Step, code: str, partition: Partition) -> Planned:
    found = find_inputs(look, pipeline, step, partition)
    lacks = lacking(look, pipeline, partition, found)
    digests = {
        f"{dataset_of(pipeline, read.dataset)}/{partition.shift(-n).key}": manifest.digest if manifest else ABSENT
        for (read, n), manifest in found.items()
    }
    return Planned(partition, found, digests, look.manifest(step.name, partition), code, lacks)


def _with_ids(index: Index, planned: Planned) -> Planned:
    ids, key_file = index.inputs(planned.partition), index.key_file(planned.partition)
    return replace(planned, ids=ids, key_file=key_file)


def _are_neighbours(one: Planned, other: Planned) -> bool:
    """Whether a partition follows another one, and each input of both has objects."""
    whole = all(manifest is not None and manifest.files for each in (one, other) for manifest in each.own)
    return whole and one.partition.shift(1) == other.partition
