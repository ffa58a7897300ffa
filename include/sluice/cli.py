"""The command line: provision a pipeline, send events, see how it stands, send back what failed, ask the model."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import track

from sluice.aws import Aws
from sluice.errors import SluiceError
from sluice.failures import explain
from sluice.landing.send import Event, send
from sluice.pipeline import Pipeline, load_pipeline, pipeline_names
from sluice.provision import provision
from sluice.redrive.held import CONFLICT, Choice, survey_all
from sluice.redrive.sending import require_complete, send_back_all
from sluice.serving.probe import invoke
from sluice.sources import Queue
from sluice.status import pipeline_status
from sluice.tables import held_table, sent_table, status_tables
from sluice.workspace import Workspace

app = typer.Typer(
    help="Ordered event streams into a time-partitioned lake, and a live model trained on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PipelineArgument = Annotated[str, typer.Argument(help="Name of a folder under include/pipelines.")]


def main() -> None:
    """Run the command line; what goes wrong is one line on standard error and exit status 1."""
    try:
        app()
    except SluiceError as error:
        _fail(str(error))
    except (BotoCoreError, ClientError) as error:
        _fail(explain(error))


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(1)


@app.command("provision")
def provision_command(pipeline: PipelineArgument) -> None:
    """Create or update the pipeline's CloudFormation stack: bucket, queues, topic, stream, role."""
    declared = load_pipeline(pipeline)
    for name, value in sorted(provision(Aws().client("cloudformation"), declared.name).items()):
        typer.echo(f"{name}\t{value}")


@app.command("send")
def send_command(
    file: Annotated[Path, typer.Argument(help="Events, one JSON object a line: id, group, event_time, body.")],
    pipeline: Annotated[str, typer.Option(help="Name of a folder under include/pipelines.")],
    source: Annotated[str | None, typer.Option(help="The queue, where the pipeline has several.")] = None,
) -> None:
    """Send a file of events (.jsonl or .jsonl.gz) to the pipeline's FIFO queue, in order within each group.

    A body that is an object gets the id and the time under the names that the source declares, unless it has them.
    """
    workspace = Workspace.open(Aws(), pipeline)
    queue = _queue(workspace.pipeline, source)
    events = (_event(line, number, file, queue) for number, line in enumerate(_lines(file), 1) if line.strip())
    shown = track(events, description="sending", console=Console(stderr=True), disable=not sys.stderr.isatty())
    result = send(workspace.aws.client("sqs"), workspace.resources.queue(queue.name), shown)
    typer.echo(f"{result.sent} events sent to {workspace.resources.queue(queue.name)}")


def _queue(pipeline: Pipeline, name: str | None) -> Queue:
    found = [queue for queue in pipeline.queues if name in (None, queue.name)]
    if len(found) != 1:
        names = ", ".join(queue.name for queue in pipeline.queues) or "none"
        raise SluiceError(f"pipeline {pipeline.name} has the queues {names}: name one with --source")
    return found[0]


def _lines(file: Path) -> Iterator[str]:
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            yield from lines
    except (OSError, EOFError, UnicodeError) as error:  # EOFError: a .gz that is cut short
        raise SluiceError(f"{file} can't be read: {error}") from error


def _event(line: str, number: int, file: Path, queue: Queue) -> Event:
    try:
        fields = json.loads(line)
        event_time = datetime.fromisoformat(fields["event_time"])
        body = fields["body"]
        if isinstance(body, dict):
            body = {queue.event_id: fields["id"], queue.event_time: fields["event_time"], **body}
        text = body if isinstance(body, str) else json.dumps(body)
        "".join((text, str(fields["id"]), str(fields["group"]))).encode()  # half a surrogate pair can't travel
        return Event(id=str(fields["id"]), group=str(fields["group"]), event_time=event_time, body=text)
    except (ValueError, TypeError, KeyError) as error:
        raise SluiceError(
            f"{file} line {number} is no event ({type(error).__name__}: {error}); each line is an object with id, "
            f"group, event_time (ISO 8601) and body; the lines before it were sent, sending all again is safe"
        ) from error


@app.command("status")
def status_command(
    pipeline: Annotated[str | None, typer.Argument(help="One pipeline; all of them if left out.")] = None,
) -> None:
    """Show backlog, partitions and their state, datasets, training jobs and the endpoint."""
    for name in [pipeline] if pipeline else pipeline_names():
        Console().print(*status_tables(name, pipeline_status(Workspace.open(Aws(), name))))


@app.command("redrive")
def redrive_command(
    pipeline: PipelineArgument,
    source: Annotated[str | None, typer.Option(help="A queue or stream; all of them if left out.")] = None,
    where: Annotated[str, typer.Option(help="quarantine, dead_letters or both.")] = "both",
    reason: Annotated[str | None, typer.Option(help="Quarantined for this reason alone.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First partition, such as 2013-01-01 (UTC).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last partition, included.")] = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", help="This event id; may be given again.")] = None,
    limit: Annotated[int, typer.Option(help="Messages of each source and place to send, at most.")] = 1000,
    unknown: Annotated[bool, typer.Option(help="Send also what a stopped redrive may have sent.")] = False,
    send: Annotated[bool, typer.Option("--send", help="Send it back; without this, it is only shown.")] = False,
) -> None:
    """Show what is quarantined or dead-lettered and why; with --send, send it back to its source, in group order.

    A contract that was mended needs no redrive: run the transform over those partitions again.
    """
    choice = Choice(where, reason, first, last, frozenset(event_id or ()), limit, unknown)
    workspace = Workspace.open(Aws(), pipeline)
    if not send:
        held = survey_all(workspace, source, choice)
        Console().print(held_table(held))
        if any(each.reason == CONFLICT for each in held):
            typer.echo("a conflict has another event's id and conflicts again: only --reason conflict sends it back")
        if held:
            typer.echo("nothing was sent; --send sends what was not sent back yet")
        return
    results = send_back_all(workspace, source, choice)
    Console().print(sent_table(results))
    require_complete(results)


@app.command("predict")
def predict_command(pipeline: PipelineArgument) -> None:
    """Score rows from standard input with the live model, one score a line.

    A row is CSV without a header, the features in the declared order, or a JSON object of features by name; what is
    missing is left empty or out.
    """
    declared = load_pipeline(pipeline)
    rows = list(_rows(sys.stdin, declared.training.features))
    for score in invoke(Aws().client("sagemaker-runtime"), declared.deployment.endpoint, rows):
        typer.echo(score)


def _rows(lines: Iterable[str], features: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("{"):
            yield _row_of_object(line, number, features)
        elif line.strip():
            fields = next(csv.reader([line]))
            if len(fields) != len(features):
                raise SluiceError(f"line {number} has {len(fields)} fields, the model has {len(features)} features")
            yield ",".join(field.strip() for field in fields)


def _row_of_object(line: str, number: int, features: Sequence[str]) -> str:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise SluiceError(f"line {number} is no JSON object: {error}") from error
    unknown = set(values) - set(features)
    if unknown:
        raise SluiceError(f"line {number} has features that the model does not know: {', '.join(sorted(unknown))}")
    wrong = next((name for name, value in values.items() if not isinstance(value, int | float | None)), None)
    if wrong is not None:
        raise SluiceError(
            f"line {number}: {wrong} is {values[wrong]!r}; a feature is a number, or null where it is missing"
        )
    return ",".join("" if values.get(name) is None else str(float(values[name])) for name in features)
