"""The command line: provision a pipeline, send events, see how it stands, ask the live model."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sluice.aws import Aws, refusal
from sluice.errors import SluiceError
from sluice.landing.send import Event, send
from sluice.pipeline import Pipeline, load_pipeline, pipeline_names
from sluice.provision import provision
from sluice.serving.probe import invoke
from sluice.sources import Queue
from sluice.status import PipelineStatus, pipeline_status
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
    except ClientError as error:
        _fail(refusal(error))
    except BotoCoreError as error:
        _fail(f"{error}; check AWS_ENDPOINT_URL, credentials and region (on a laptop: make up)")


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
        _show(name, pipeline_status(Workspace.open(Aws(), name)))


def _show(name: str, status: PipelineStatus) -> None:
    console = Console()
    console.print(
        _table(
            f"{name}: queues",
            ("source", "backlog", "dead letters"),
            [(queue.source, queue.backlog, queue.dead_letters) for queue in status.queues],
        ),
        _table(
            f"{name}: datasets",
            ("dataset", "closed", "open", "parts", "rows", "rejected"),
            [
                (dataset.name, dataset.closed, dataset.open, dataset.parts, dataset.rows_out, _counts(dataset.rejected))
                for dataset in status.datasets
            ],
        ),
        _table(
            f"{name}: training jobs",
            ("job", "status", "seconds", "metrics"),
            [
                (job.name, job.status, job.seconds, _counts({name: round(v, 4) for name, v in job.metrics.items()}))
                for job in status.jobs
            ],
        ),
        _table(
            f"{name}: endpoint",
            ("endpoint", "status", "config", "job", "test AUC"),
            [
                (
                    status.endpoint.name,
                    status.endpoint.status,
                    status.endpoint.config,
                    status.deployment.job if status.deployment else "",
                    f"{status.deployment.test_auc:.4f}" if status.deployment else "",
                )
            ]
            if status.endpoint
            else [],
        ),
    )


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    return table


def _counts(counts: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


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
