"""The command that removes what nothing needs any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import typer
from rich.filesize import decimal
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import LAKE, AsJson, PipelineArgument
from sluice.cli.tables import Listing, listing
from sluice.housekeeping.policy import Keep
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import survey
from sluice.workspace import Workspace

commands = typer.Typer()


class LeftoverAnswer(Member):
    """A thing that may go, and why. ``bytes`` are those of its ``objects`` in the lake."""

    kind: str
    name: str
    days_old: int
    objects: int
    bytes: int
    reason: str


class CleanAnswer(Answer):
    """What may go, and how many of each kind and how many bytes were removed; null if only shown."""

    command: ClassVar[str] = "clean"
    found: tuple[LeftoverAnswer, ...]
    removed: Mapping[str, int] | None

    @override
    def texts(self) -> Iterator[Listing | str]:
        yield listing(
            "may go",
            ("kind", "name", "days old", "objects", "size", "reason"),
            [
                (
                    each.kind,
                    each.name,
                    each.days_old,
                    each.objects or None,
                    decimal(each.bytes) if each.objects else None,
                    each.reason,
                )
                for each in self.found
            ],
        )
        if self.removed is not None:
            counts = [f"{count} {kind}" for kind, count in self.removed.items() if kind != "bytes"]
            yield ", ".join([*counts, f"{decimal(self.removed['bytes'])} removed"])
        elif self.found:
            yield "nothing was deleted; --delete deletes what is shown, and stops the jobs"


@commands.command("clean", rich_help_panel=LAKE)
def _clean(
    pipeline: PipelineArgument,
    keep: Annotated[int, typer.Option(help="How many of the newest deployments can be restored.")] = Keep.deployments,
    days: Annotated[int, typer.Option(help="For how many days everything stays.")] = Keep.days,
    quarantine_days: Annotated[
        int | None, typer.Option(help="For how many days quarantined events stay; without this option for good.")
    ] = Keep.quarantine_days,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; without this option it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show superseded configurations, models, artefacts, scores and snapshots, and orphaned jobs; delete on request.

    So are superseded revisions and states, orphaned parts, superseded quarantine and markers of the datasets. What is
    live, what a kept deployment or the newest verdict names, what a running job uses, and what a manifest or a snapshot
    names stays.
    """
    workspace = Workspace.open(Aws(), pipeline)
    leftovers, now = survey(workspace, Keep(keep, days, quarantine_days)), workspace.lake.now()
    found = tuple(
        LeftoverAnswer(
            kind=each.thing.kind,
            name=each.thing.name,
            days_old=(now - each.thing.changed).days,
            objects=each.thing.objects,
            bytes=each.thing.size,
            reason=each.reason,
        )
        for each in leftovers.found
    )
    removed = remove(workspace, leftovers) if delete else None
    show(CleanAnswer(found=found, removed=removed), as_json)
