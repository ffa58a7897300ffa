"""The commands that send events, and send back those that are held back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, show
from sluice.cli.arguments import EVENTS, AsJson, First, Last, PipelineArgument
from sluice.cli.notes import is_quiet
from sluice.cli.tables import Listing, listing
from sluice.cli.words import moment
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.errors import SluiceError
from sluice.redrive.held import CONFLICT, Choice, Held, survey_all
from sluice.redrive.quarantined import OUTSIDE
from sluice.redrive.sending import SentBack, require_complete, send_back_all
from sluice.sending.event_file import event_file
from sluice.sending.lanes import send_events
from sluice.sources.connecting import connect_events
from sluice.workspace import Workspace

commands = typer.Typer()


class SendAnswer(Answer):
    """How many events were sent where, how many of them the service keeps, and why others were refused."""

    command: ClassVar[str] = "send"
    target: str
    sent: int
    kept: int
    refused: tuple[str, ...]

    @override
    def texts(self) -> Iterator[str]:
        dropped = f"; it keeps {self.kept} of them: a FIFO queue drops what repeats an id within five minutes"
        yield f"{self.sent} events sent to {self.target}{dropped if self.kept < self.sent else ''}"


class RedriveShownAnswer(Answer):
    """What is held back."""

    command: ClassVar[str] = "redrive"
    pipeline: str
    held: tuple[Held, ...]

    @override
    def texts(self) -> Iterator[Listing | str]:
        yield listing(
            "held back",
            ("source", "where", "reason", "count", "sent back", "unknown", "oldest", "example"),
            [
                (
                    each.source,
                    each.where,
                    each.reason,
                    each.count,
                    each.sent_back,
                    each.unknown,
                    moment(each.oldest),
                    each.example,
                )
                for each in self.held
            ],
        )
        reasons = {each.reason for each in self.held}
        if CONFLICT in reasons:
            yield (
                "a conflict has another event's id and conflicts again: only --where quarantine --reason conflict "
                "sends it back"
            )
        if OUTSIDE in reasons:
            yield (
                f"no scheduled run conforms what is outside the pipeline's start and end: trigger the transform with "
                f"from and to over its partitions (`sluice status {self.pipeline}` lists them), or send it back with "
                f'--where quarantine --reason "{OUTSIDE}"'
            )
        if self.held:
            yield "nothing was sent; --send sends what was not sent back yet"


class RedriveAnswer(Answer):
    """What was sent back."""

    command: ClassVar[str] = "redrive --send"
    sent_back: tuple[SentBack, ...]

    @override
    def texts(self) -> Iterator[Listing]:
        yield listing(
            "sent back",
            ("source", "where", "sent", "already sent", "unknown", "failed", "behind these", "not deleted"),
            [
                (
                    each.source,
                    each.where,
                    each.sent,
                    each.already,
                    each.unknown,
                    each.failed,
                    each.behind,
                    each.undeleted,
                )
                for each in self.sent_back
            ],
        )


@commands.command("send", rich_help_panel=EVENTS)
def _send(
    file: Annotated[
        Path,
        typer.Argument(
            help="Events: id, group, event_time, body. One JSON object a line, or a .csv with a header; - is standard "
            "input, as JSON lines."
        ),
    ],
    pipeline: Annotated[str, typer.Option(help="Name of a folder under include/pipelines.")],
    source: Annotated[str | None, typer.Option(help="The queue or stream; needed if the pipeline has several.")] = None,
    keep_going: Annotated[bool, typer.Option(help="Send the other events if a line is not an event.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a file of events (plain or gzipped) to the pipeline's queue or stream, in order within each group.

    The whole file is checked first: if a line is not an event, nothing is sent. With **--keep-going**, each such line
    is named, the other events are sent, and the exit status is 1.

    A body that is an object gets the id and the time under the names that the source declares, unless it has them. Ids
    and groups are text or whole numbers. In a CSV, columns beside id, group, event_time and body are members of the
    body, as text.
    """
    workspace = Workspace.open(Aws(), pipeline)
    declared = _source_of_events(workspace.pipeline, source)
    sender = connect_events(workspace, declared).sender()
    refused: list[SluiceError] = []

    def on_fault(fault: SluiceError) -> None:
        if not keep_going:
            raise fault
        refused.append(fault)
        typer.echo(f"refused: {fault}", err=True)

    with event_file(file, sys.stdin.buffer) as events, _progress() as progress:
        try:
            checking = progress.add_task("checking", total=None)
            count = events.check(declared, sender, lambda: progress.advance(checking), on_fault)
        except SluiceError as error:
            raise SluiceError(f"{error}; nothing was sent: correct it and send again") from error
        progress.update(checking, total=count)
        sending = progress.add_task("sending", total=count)
        try:
            good = events.events(declared, sender, on_fault=lambda _: None)
            result = send_events(good, sender, on_sent=lambda sent: progress.advance(sending, sent))
        except (SluiceError, BotoCoreError, ClientError) as error:
            error.add_note(f"{int(progress.tasks[sending].completed)} of {count} events were sent before")
            raise
    show(
        SendAnswer(target=sender.target, sent=result.sent, kept=result.kept, refused=tuple(map(str, refused))), as_json
    )
    if refused:
        raise SluiceError(f"{len(refused)} lines of {file} are no events and were not sent; see above")


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=is_quiet() or not console.is_terminal,
    )


def _source_of_events(pipeline: Pipeline, name: str | None) -> EventSource:
    found = [source for source in pipeline.event_sources if name in (None, source.name)]
    if len(found) != 1:
        names = ", ".join(source.name for source in pipeline.event_sources) or "none"
        raise SluiceError(f"pipeline {pipeline.name} has these sources of events: {names}; name one with --source")
    return found[0]


@commands.command("redrive", rich_help_panel=EVENTS)
def _redrive(
    pipeline: PipelineArgument,
    source: Annotated[str | None, typer.Option(help="A queue or stream; all of them if omitted.")] = None,
    where: Annotated[str, typer.Option(help="quarantine, dead_letters or both.")] = "both",
    reason: Annotated[str | None, typer.Option(help="Only events quarantined for this reason.")] = None,
    first: First = None,
    last: Last = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", help="Only this event id; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="The most messages to send from each source and place.")] = 1000,
    unknown: Annotated[bool, typer.Option(help="Also send messages that a stopped redrive may have sent.")] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Send them back; without this option they are only shown.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show quarantined and dead-lettered events, and why; with --send, send them back to their source, in group order.

    A contract that was corrected needs no redrive: run the transform of those partitions again.
    """
    choice = Choice(where, reason, first, last, frozenset(event_id or ()), limit, unknown)
    workspace = Workspace.open(Aws(), pipeline)
    if not send:
        held = tuple(survey_all(workspace, source, choice))
        show(RedriveShownAnswer(pipeline=pipeline, held=held), as_json)
        return
    results = send_back_all(workspace, source, choice)
    show(RedriveAnswer(sent_back=tuple(results)), as_json)
    require_complete(results)
