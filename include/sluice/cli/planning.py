"""The commands that say what a transform run would do and why, and what is late."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

import typer
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import LAKE, AsJson, First, Last, PipelineArgument
from sluice.cli.tables import Listing, listing
from sluice.cli.words import ranges
from sluice.lake.partitions import Partition, format_ranges, requested
from sluice.lateness import group_late, in_words, late_partitions
from sluice.steps.outlook import Outlook, outlook
from sluice.steps.reasons import Reason, describe_reasons
from sluice.workspace import Workspace

commands = typer.Typer()


class PlannedAnswer(Member):
    """Partitions of a step for which a run would do the same: ``runs``, ``may run`` or ``waits``, and why."""

    step: str
    partitions: str
    verdict: str
    why: str


class PlanAnswer(Answer):
    """What a run would make, and how many of the partitions that were looked at are as they should be."""

    command: ClassVar[str] = "plan"
    pipeline: str
    planned: tuple[PlannedAnswer, ...]
    done: int
    looked_at: int

    @override
    def texts(self) -> Iterator[Listing | str]:
        if self.planned:
            yield listing(
                f"{self.pipeline}: plan",
                ("step", "partitions", "verdict", "why"),
                [(each.step, ranges(each.partitions), each.verdict, each.why) for each in self.planned],
            )
        yield (
            f"{self.done} of {self.looked_at} partitions of steps are as they should be"
            if self.looked_at
            else "nothing has arrived"
        )


class LateGroupAnswer(Member):
    """Partitions that are late for the same reason: ``waits``, ``outdated`` or ``not made``."""

    steps: tuple[str, ...]
    partitions: str
    since: datetime
    seconds_late: int
    what: str
    why: str


class LateAnswer(Answer):
    """What is late, those first that are late for the longest time."""

    command: ClassVar[str] = "late"
    pipeline: str
    late: tuple[LateGroupAnswer, ...]

    @override
    def texts(self) -> Iterator[Listing | str]:
        if not self.late:
            yield f"{self.pipeline}: nothing is late"
            return
        yield listing(
            f"{self.pipeline}: late",
            ("steps", "partitions", "late by", "what", "why"),
            [
                (
                    ", ".join(each.steps),
                    ranges(each.partitions),
                    in_words(timedelta(seconds=each.seconds_late)),
                    each.what,
                    each.why,
                )
                for each in self.late
            ],
        )


@commands.command("plan", rich_help_panel=LAKE)
def _plan(
    pipeline: PipelineArgument,
    step: Annotated[str | None, typer.Argument(help="One step; all of them if omitted.")] = None,
    first: First = None,
    last: Last = None,
    as_json: AsJson = False,
) -> None:
    """Show which partitions a transform run would make, step by step, and why. Nothing is changed.

    Why is that a partition was never made, that an input has changed, or that the code has, with the part of it. A
    partition **may run** if only what it reads is made before: it does if that changes. Without a range, all partitions
    are looked at for which there is something.
    """
    workspace = Workspace.open(Aws(), pipeline)
    if step is not None:
        workspace.pipeline.step(step)
    partitions = requested(workspace.pipeline.calendar, None, first, last) if first or last else None
    found = [each for each in outlook(workspace, partitions) if step in (None, each.step)]
    due = [each for each in found if each.verdict != "is done"]
    answer = PlanAnswer(
        pipeline=pipeline, planned=tuple(_grouped(due)), done=len(found) - len(due), looked_at=len(found)
    )
    show(answer, as_json)


def _grouped(found: Iterable[Outlook]) -> Iterator[PlannedAnswer]:
    """Yield one answer for the partitions of a step that have the same reasons."""
    groups = defaultdict[tuple[str, str, tuple[Reason, ...]], list[Partition]](list)
    for each in found:
        groups[each.step, each.verdict, each.reasons].append(each.partition)
    for (step, verdict, reasons), partitions in groups.items():
        why = describe_reasons(reasons, partitions)
        yield PlannedAnswer(step=step, partitions=format_ranges(partitions), verdict=verdict, why=why)


@commands.command("late", rich_help_panel=LAKE)
def _late(pipeline: PipelineArgument, as_json: AsJson = False) -> None:
    """Show which partitions are late, by how much, and for what each waits. Nothing is changed.

    A partition of a step is late once its end and the lateness of the sources are over, and the step has not made it
    from what the sources have now: it was never made, it is **outdated** by late data, or it **waits** for a source.
    Where a step looks ahead, the end is that of the last partition that it reads.
    """
    workspace = Workspace.open(Aws(), pipeline)
    groups, now = group_late(workspace, late_partitions(workspace)), workspace.lake.now()
    late = tuple(
        LateGroupAnswer(
            steps=each.steps,
            partitions=format_ranges(each.partitions),
            since=each.since,
            seconds_late=int((now - each.since).total_seconds()),
            what=each.what,
            why=each.why,
        )
        for each in groups
    )
    show(LateAnswer(pipeline=pipeline, late=late), as_json)
