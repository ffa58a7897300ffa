"""Which partitions are late, by how much, and for what each waits.

A partition of a step is late once its end and the declared lateness of the sources are over, and the step has not made
it from what the sources have now. Where a step looks ahead, the end is that of the last partition that it reads. Code
that has changed makes nothing late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.lake.look import Look
from sluice.lake.partitions import Partition, between
from sluice.landing.closing import empty_until
from sluice.sources.completeness import Incomplete, describe, incomplete, short_ranges
from sluice.sources.coverage import is_outside
from sluice.steps.lacking import Awaited
from sluice.steps.outlook import Outlook, outlook
from sluice.steps.reach import dataset_of, known_from
from sluice.steps.reasons import LANDS_FIRST, MADE_FIRST, NEVER_MADE, STATE_FIRST, Reason, describe_reasons
from sluice.workspace import Workspace

What: TypeAlias = Literal["not made", "outdated", "waits"]


@dataclass(frozen=True)
class Late:
    """A partition of a step that is late.

    Attributes:
        step: The name of the step.
        partition: The partition.
        since: From when on it is late (UTC): the end of the last partition that the step reads for it, and of the
            lateness of the sources. If it was made before: when what it has not read was written, if that is later.
        begun: From when on its age counts (UTC): as ``since``, but without the lateness.
        what: ``waits`` if what it reads is not complete, ``outdated`` if it was made before, else ``not made``.
        reasons: Why.
        lacks: What it waits for.
    """

    step: str
    partition: Partition
    since: datetime
    begun: datetime
    what: What
    reasons: tuple[Reason, ...]
    lacks: tuple[Awaited, ...] = ()


@dataclass(frozen=True)
class LateGroup:
    """Partitions that are late for the same reason, in some steps.

    Attributes:
        steps: The names of the steps, in their order.
        partitions: The partitions, in order.
        since: From when on the first of them is late (UTC).
        what: As of :class:`Late`.
        why: Why, in one line.
    """

    steps: tuple[str, ...]
    partitions: tuple[Partition, ...]
    since: datetime
    what: What
    why: str


def late_partitions(workspace: Workspace, look: Look | None = None) -> list[Late]:
    """Return the partitions that are late now, step by step, in order of time. Manifests are read, and no rows.

    Partitions before the first one for which a source has something are not expected; nor is a time that is empty by
    rule in every queue and stream.

    Args:
        workspace: The pipeline.
        look: A look at its lake; None for a new one.
    """
    now, pipeline = workspace.lake.now(), workspace.pipeline
    looked_at = outlook(workspace, with_code=False, look=look)
    gaps = _gaps(workspace, {each.partition for each in looked_at}, now)
    by_step = defaultdict[str, list[Outlook]](list)
    for each in looked_at:
        by_step[each.step].append(each)
    late: dict[tuple[str, Partition], Late] = {}
    for step in pipeline.steps:
        for found in by_step[step.name]:  # in order of time: a state goes from one to the next
            if found.reasons:
                known = _late(pipeline, step, found, late, now)
                if known.since <= now:
                    late[step.name, found.partition] = known
        waiting = (_gap(pipeline, step, each) for each in gaps)
        late |= {(step.name, each.partition): each for each in waiting if each.since <= now}
    order = {step.name: place for place, step in enumerate(pipeline.steps)}
    return sorted(late.values(), key=lambda each: (order[each.step], each.partition))


def group_late(workspace: Workspace, late: Iterable[Late]) -> list[LateGroup]:
    """Return what is late in groups, those first that are late for the longest time.

    Args:
        workspace: The pipeline, whose sources are asked for what is not complete.
        late: What is late, as :func:`late_partitions` returns it.
    """
    late = list(late)
    missing = _missing(workspace, late)
    alike = defaultdict[tuple[str, What, Collection[object]], list[Late]](list)
    for each in late:
        waits = frozenset((raw[0], missing[raw].reason) for raw in each.lacks if raw in missing)
        alike[each.step, each.what, waits or each.reasons].append(each)
    of_steps = defaultdict[tuple[tuple[Partition, ...], What, str], list[Late]](list)
    for (_, what, _), group in alike.items():
        partitions = tuple(each.partition for each in group)
        of_steps[partitions, what, _why(workspace.pipeline, group, missing)].extend(group)
    groups = [
        LateGroup(
            steps=tuple(dict.fromkeys(each.step for each in group)),
            partitions=partitions,
            since=min(each.since for each in group),
            what=what,
            why=why,
        )
        for (partitions, what, why), group in of_steps.items()
    ]
    return sorted(groups, key=lambda each: each.since)


def describe_late(pipeline: Pipeline, late: Sequence[Late], now: datetime) -> str:
    """Describe what is late in one line, for a status.

    Args:
        pipeline: The pipeline.
        late: What is late, as :func:`late_partitions` returns it.
        now: The time (UTC), up to which it is late.
    """
    if not late:
        return f"{pipeline.name}: nothing is late"
    partitions, longest = sorted({each.partition for each in late}), now - min(each.since for each in late)
    return (
        f"{pipeline.name}: {short_ranges(partitions)} {'is' if len(partitions) == 1 else 'are'} late, by up to "
        f"{in_words(longest)}; `sluice late {pipeline.name}` says why"
    )


def in_words(duration: timedelta) -> str:
    """Return a duration as ``3 d 4 h``, ``4 h 5 min`` or ``5 min``."""
    minutes = int(duration.total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _late(
    pipeline: Pipeline,
    step: Conform | Step,
    found: Outlook,
    late: Mapping[tuple[str, Partition], Late],
    now: datetime,
) -> Late:
    planned, end = found.planned, known_from(pipeline, step, found.partition)
    passed = end + pipeline.lateness(step)
    if found.lacks:
        return Late(step.name, found.partition, passed, end, "waits", found.reasons, found.lacks)
    if planned.current is None:
        return Late(step.name, found.partition, passed, end, "not made", (Reason(NEVER_MADE),))
    read = [(dataset_of(pipeline, read.dataset), found.partition.shift(-n)) for read, n in planned.found]
    if planned.before is not None:
        read.append((step.name, planned.before.partition))
    changed = [each.written_at for each in planned.unread] + [late[each].begun for each in read if each in late]
    begun = max(changed, default=now)  # when a drop was overwritten that has not landed is not known
    reasons = tuple(dict.fromkeys(root for each in found.reasons for root in _roots(each, found.partition, late)))
    return Late(step.name, found.partition, max(passed, begun), max(end, begun), "outdated", reasons)


def _roots(reason: Reason, partition: Partition, late: Mapping[tuple[str, Partition], Late]) -> Iterator[Reason]:
    """Yield why an input has to be made, or to land, for which a partition is late: at the end what has come."""
    before = late.get((reason.dataset, partition.shift(-reason.earlier)))
    if reason.text == LANDS_FIRST:
        yield replace(reason, text="{input} has not landed as it is now")
    elif reason.text == MADE_FIRST and before is not None and before.what == "outdated":
        yield from (replace(each, earlier=each.earlier + reason.earlier) for each in before.reasons)
    elif reason.text == STATE_FIRST:
        yield replace(reason, text="the state before it is outdated")
    elif reason.text == MADE_FIRST:
        yield replace(reason, text="{input} is not made")
    else:
        yield reason


def _gap(pipeline: Pipeline, step: Conform | Step, partition: Partition) -> Late:
    reason = Reason(f"nothing of {', '.join(sorted(pipeline.sources_of[step.name]))} has arrived")
    end = known_from(pipeline, step, partition)
    return Late(step.name, partition, end + pipeline.lateness(step), end, "waits", (reason,))


def _gaps(workspace: Workspace, known: set[Partition], now: datetime) -> list[Partition]:
    """Return the partitions that have passed, and for which no source has anything although something is expected."""
    look, pipeline = Look(workspace.lake), workspace.pipeline
    covered = [each for each in known if not is_outside(pipeline, each)]
    if not covered:
        return []
    first, last = min(covered), Partition.containing(now, pipeline.calendar).shift(-1)
    empty = [empty_until(look, source.name) for source in pipeline.event_sources]
    known_empty = [each for each in empty if each is not None]
    if empty and len(known_empty) == len(empty):  # what is empty by rule is not walked through, however long it is
        first = max(first, Partition.containing(min(known_empty), pipeline.calendar))
    return [each for each in between(first, last) if each not in known and not is_outside(pipeline, each)]


def _missing(workspace: Workspace, late: Iterable[Late]) -> Mapping[Awaited, Incomplete]:
    """Return why the raw partitions are not complete for which something waits."""
    partitions = {partition for each in late for _, partition in each.lacks}
    return {(each.source, each.partition): each for each in incomplete(workspace, sorted(partitions))}


def _why(pipeline: Pipeline, group: Sequence[Late], missing: Mapping[Awaited, Incomplete]) -> str:
    waits = {missing[raw] for each in group for raw in each.lacks if raw in missing}
    return describe(pipeline, waits) or describe_reasons(group[0].reasons, [each.partition for each in group])
