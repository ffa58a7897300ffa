"""The command line: check and provision a pipeline, send events, show status, redrive, predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.aws.settings import load_settings
from sluice.checking import check_pipeline
from sluice.cli.arguments import PipelineArgument
from sluice.cli.cleaning import commands as cleaning
from sluice.cli.deploying import commands as deploying
from sluice.cli.planning import commands as planning
from sluice.cli.tables import held_table, sent_table, status_tables
from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.folders import pipeline_names
from sluice.declaration.loading import load_pipeline
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.errors import DeclarationError, MissingResource, SluiceError
from sluice.lake.division import require_division
from sluice.redrive.held import CONFLICT, Choice, survey_all
from sluice.redrive.quarantined import OUTSIDE
from sluice.redrive.sending import require_complete, send_back_all
from sluice.sending.event_file import event_file
from sluice.sending.lanes import SendResult, send_events
from sluice.serving.probe import invoke
from sluice.serving.records import require_proven
from sluice.serving.rows import BadRow, model_rows
from sluice.sources.connecting import connect_events
from sluice.status import pipeline_status
from sluice.workspace import Workspace

app = typer.Typer(
    help="Ordered event streams into a time-partitioned lake, and a live model trained on it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # paragraphs are wrapped to the width of the terminal
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line. After an error it prints one line on standard error and exits with status 1."""
    load_settings()
    try:
        app()
    except (SluiceError, BotoCoreError, ClientError) as error:
        _fail(explain(error))


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(1)


@app.command("check")
def _check(
    pipeline: Annotated[str | None, typer.Argument(help="One pipeline; all of them if omitted.")] = None,
) -> None:
    """Check a pipeline: its declaration, the functions and contracts that it names, and its lake.

    Print the first mistake and its right form. Nothing is changed. The lake is checked if the pipeline is provisioned.
    """
    names = [pipeline] if pipeline else pipeline_names()
    if failed := [name for name in names if not _passes_check(name)]:
        raise SluiceError(f"{', '.join(failed)} did not pass; see above")


def _passes_check(name: str) -> bool:
    try:
        check_pipeline(name)
        result = _lake_result(name)
    except DeclarationError as error:
        typer.echo(str(error), err=True)
        return False
    typer.echo(f"{name}: good{result}")
    return True


def _lake_result(name: str) -> str:
    """Check the lake; return the reason if that is impossible, else an empty text.

    Raises:
        DeclarationError: the lake is divided otherwise than the pipeline declares.
    """
    try:
        require_division(Workspace.open(Aws(), name).lake)
    except MissingResource:
        return "; it is not provisioned, so it has no lake yet"
    except (BotoCoreError, ClientError) as error:
        return f", as far as its folder shows; its lake could not be read: {explain(error)}"
    return ""


@app.command("provision")
def _provision(
    pipeline: PipelineArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the template and what would change.")] = False,
    image: Annotated[
        str | None,
        typer.Option(envvar="SLUICE_STEP_IMAGE", help="URI of the image of steps, for those on Lambda and Fargate."),
    ] = None,
    archives: Annotated[
        str | None,
        typer.Option(
            envvar="SLUICE_STEP_ARCHIVES", help="s3://BUCKET/PREFIX/ for the archives of steps declared with 'zip'."
        ),
    ] = None,
) -> None:
    """Create or update the pipeline's CloudFormation stack, with what its folder declares and nothing else.

    What is not declared any more is removed from the stack, with its content; only the lake remains. With --dry-run the
    changes are comments below the template, so that the whole output is a template.
    """
    # The library that renders templates takes as long to import as all others together, and only this command needs it.
    from sluice.provisioning.archives import find_artefacts
    from sluice.provisioning.provision import changes, provision
    from sluice.provisioning.template import render

    declared, aws = check_pipeline(pipeline), Aws()
    artefacts = find_artefacts(aws, declared, image, archives)
    if dry_run:
        changed = changes(aws, declared, artefacts)
        typer.echo(render(declared, artefacts).to_yaml())
        for change in changed:
            typer.echo(f"# {change.action} {change.resource} ({change.kind})")
        if not changed:
            typer.echo("# the stack is up to date: nothing would change")
        return
    for name, value in sorted(provision(aws, declared, artefacts).items()):
        typer.echo(f"{name}\t{value}")


@app.command("send")
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
            done = int(progress.tasks[sending].completed)
            raise SluiceError(f"{explain(error)} ({done} of {count} events were sent before)") from error
    typer.echo(f"{result.sent} events sent to {sender.target}{_dropped(result)}")
    if refused:
        raise SluiceError(f"{len(refused)} lines of {file} are no events and were not sent; see above")


def _dropped(result: SendResult) -> str:
    """Return the end of the report if the queue kept fewer events than were sent."""
    if result.kept == result.sent:
        return ""
    return f"; it keeps {result.kept} of them: a FIFO queue drops what repeats an id within five minutes"


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _source_of_events(pipeline: Pipeline, name: str | None) -> EventSource:
    found = [source for source in pipeline.event_sources if name in (None, source.name)]
    if len(found) != 1:
        names = ", ".join(source.name for source in pipeline.event_sources) or "none"
        raise SluiceError(f"pipeline {pipeline.name} has these sources of events: {names}; name one with --source")
    return found[0]


@app.command("status")
def _status(
    pipeline: Annotated[str | None, typer.Argument(help="One pipeline; all of them if omitted.")] = None,
) -> None:
    """Show backlog, partitions and their state, datasets, training jobs and the endpoint."""
    names = [pipeline] if pipeline else pipeline_names()
    if failed := [name for name in names if not _shows_status(name, raises=len(names) == 1)]:
        raise SluiceError(f"the status of {', '.join(failed)} could not be shown; see above")


def _shows_status(name: str, *, raises: bool) -> bool:
    """Print the status of a pipeline. Unless ``raises``, print an error instead of raising it, and return False."""
    try:
        Console().print(*status_tables(name, pipeline_status(Workspace.open(Aws(), name))), sep="\n")
    except (SluiceError, BotoCoreError, ClientError) as error:
        if raises:
            raise
        typer.echo(f"{name}: {explain(error)}", err=True)
        return False
    return True


@app.command("redrive")
def _redrive(
    pipeline: PipelineArgument,
    source: Annotated[str | None, typer.Option(help="A queue or stream; all of them if omitted.")] = None,
    where: Annotated[str, typer.Option(help="quarantine, dead_letters or both.")] = "both",
    reason: Annotated[str | None, typer.Option(help="Only events quarantined for this reason.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First partition, such as 2013-01-01 or 2013-01.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last partition, included.")] = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", help="Only this event id; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="The most messages to send from each source and place.")] = 1000,
    unknown: Annotated[bool, typer.Option(help="Also send messages that a stopped redrive may have sent.")] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Send them back; without this option they are only shown.")
    ] = False,
) -> None:
    """Show quarantined and dead-lettered events, and why; with --send, send them back to their source, in group order.

    A contract that was corrected needs no redrive: run the transform of those partitions again.
    """
    choice = Choice(where, reason, first, last, frozenset(event_id or ()), limit, unknown)
    workspace = Workspace.open(Aws(), pipeline)
    if not send:
        held = survey_all(workspace, source, choice)
        Console().print(held_table(held))
        reasons = {each.reason for each in held}
        if CONFLICT in reasons:
            typer.echo("a conflict has another event's id and conflicts again: only --reason conflict sends it back")
        if OUTSIDE in reasons:
            typer.echo(
                f"no scheduled run conforms what is outside the pipeline's start and end: trigger the transform with "
                f"from and to over its partitions (`sluice status {pipeline}` lists them), or send it back with "
                f'--where quarantine --reason "{OUTSIDE}"'
            )
        if held:
            typer.echo("nothing was sent; --send sends what was not sent back yet")
        return
    results = send_back_all(workspace, source, choice)
    Console().print(sent_table(results))
    require_complete(results)


app.add_typer(planning)
app.add_typer(deploying)
app.add_typer(cleaning)


@app.command("features")
def _features(pipeline: PipelineArgument) -> None:
    """Print the features of a row, in order: the name and the kind of each, a line for each."""
    for feature in load_pipeline(pipeline).require_training().inputs:
        typer.echo(f"{feature.name}\t{feature.kind}")


@app.command("predict")
def _predict(pipeline: PipelineArgument) -> None:
    """Score rows from standard input with the live model; print one answer per line.

    An answer is the probability of 1, the expected value, or a probability for each class, with commas between them.

    A row has the raw values of the features. It is CSV: in the order of `sluice features`, or in any order below a
    header that names them. Or it is a JSON object of values by name. A missing value is an empty field, null, or
    omitted.
    """
    load_pipeline(pipeline).require_deployment()
    workspace = Workspace.open(Aws(), pipeline)
    endpoint = workspace.pipeline.require_deployment().endpoint
    model = require_proven(workspace.lake, endpoint).model
    encoding = read_snapshot(workspace.lake, model.snapshot).encoding
    try:
        rows = list(model_rows(sys.stdin.buffer, encoding, filled=not model.takes_missing))
    except BadRow as error:
        raise SluiceError(f"{error}; `sluice features {pipeline}` lists the columns") from error
    if not rows:
        raise SluiceError(
            f"standard input has no row; give CSV or JSON lines of the columns that `sluice features {pipeline}` lists"
        )
    for answer in invoke(workspace, endpoint, model, rows).reshape(len(rows), -1):
        typer.echo(",".join(map(str, answer)))
