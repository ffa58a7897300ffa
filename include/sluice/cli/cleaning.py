"""The command that removes what nothing needs any more."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from sluice.aws.clients import Aws
from sluice.cli.arguments import PipelineArgument
from sluice.cli.tables import leftovers_table
from sluice.housekeeping.policy import Keep
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import survey
from sluice.workspace import Workspace

commands = typer.Typer()


@commands.command("clean")
def _clean(
    pipeline: PipelineArgument,
    keep: Annotated[int, typer.Option(help="How many of the newest deployments can be restored.")] = Keep.deployments,
    days: Annotated[int, typer.Option(help="For how many days everything stays.")] = Keep.days,
    quarantine_days: Annotated[
        int | None, typer.Option(help="For how many days quarantined events stay; without this option for good.")
    ] = Keep.quarantine_days,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; without this option it is only shown.")] = False,
) -> None:
    """Show superseded configurations, models, artefacts, scores and snapshots, and orphaned jobs; delete on request.

    So are superseded revisions and states, orphaned parts, superseded quarantine and markers of the datasets. What is
    live, what a kept deployment or the newest verdict names, what a running job uses, and what a manifest or a snapshot
    names stays.
    """
    workspace = Workspace.open(Aws(), pipeline)
    leftovers = survey(workspace, Keep(keep, days, quarantine_days))
    Console().print(leftovers_table(leftovers.found, workspace.lake.now()))
    if delete:
        removed = dict(remove(workspace, leftovers))
        size = decimal(removed.pop("bytes"))
        typer.echo(", ".join([*(f"{count} {kind}" for kind, count in removed.items()), f"{size} removed"]))
    elif leftovers.found:
        typer.echo("nothing was deleted; --delete deletes what is shown, and stops the jobs")
