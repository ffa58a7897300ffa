"""The commands that say what a transform run would do and why, and what is late."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sluice.aws.clients import Aws
from sluice.cli.arguments import PipelineArgument
from sluice.cli.tables import table
from sluice.lake.partitions import Partition, requested
from sluice.lateness import group_late, in_words, late_partitions
from sluice.sources.completeness import short_ranges
from sluice.steps.outlook import Outlook, outlook
from sluice.steps.reasons import Reason, describe_reasons
from sluice.workspace import Workspace

commands = typer.Typer()


@commands.command("plan")
def _plan(
    pipeline: PipelineArgument,
    step: Annotated[str | None, typer.Argument(help="One step; all of them if omitted.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First partition, such as 2013-01-01 or 2013-01.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last partition, included.")] = None,
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
    if due:
        Console().print(_table(pipeline, due))
    done = len(found) - len(due)
    typer.echo(f"{done} of {len(found)} partitions of steps are as they should be" if found else "nothing has arrived")


@commands.command("late")
def _late(pipeline: PipelineArgument) -> None:
    """Show which partitions are late, by how much, and for what each waits. Nothing is changed.

    A partition of a step is late once its end and the lateness of the sources are over, and the step has not made it
    from what the sources have now: it was never made, it is **outdated** by late data, or it **waits** for a source.
    Where a step looks ahead, the end is that of the last partition that it reads.
    """
    workspace = Workspace.open(Aws(), pipeline)
    groups, now = group_late(workspace, late_partitions(workspace)), workspace.lake.now()
    if not groups:
        typer.echo(f"{pipeline}: nothing is late")
        return
    rows = [
        (", ".join(each.steps), short_ranges(each.partitions), in_words(now - each.since), each.what, each.why)
        for each in groups
    ]
    Console().print(table(f"{pipeline}: late", ("steps", "partitions", "late by", "", "why"), rows))


def _table(name: str, found: Iterable[Outlook]) -> Table:
    """Return a table with one row for the partitions of a step that have the same reasons."""
    rows = defaultdict[tuple[str, str, tuple[Reason, ...]], list[Partition]](list)
    for each in found:
        rows[each.step, each.verdict, each.reasons].append(each.partition)
    return table(
        f"{name}: plan",
        ("step", "partitions", "", "why"),
        [
            (step, short_ranges(partitions), verdict, describe_reasons(reasons, partitions))
            for (step, verdict, reasons), partitions in rows.items()
        ],
    )
