"""The commands by which one follows what happens: the status again and again, and the log of a training job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, ClassVar

import typer
from rich.console import Console
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, show
from sluice.cli.arguments import LAKE, MODEL, AsJson, PipelineArgument
from sluice.cli.state import StatusAnswer, pipeline_answer
from sluice.errors import MissingResource
from sluice.status import pipeline_status
from sluice.training.jobs import list_jobs
from sluice.training.log import log_lines
from sluice.workspace import Workspace

commands = typer.Typer()


class LogsAnswer(Answer):
    """The last lines of the log of a training job, oldest first."""

    command: ClassVar[str] = "logs"

    job: str
    lines: tuple[str, ...]

    @override
    def texts(self) -> Iterator[str]:
        yield from self.lines or (f"{self.job} has written no log yet",)


@commands.command("watch", rich_help_panel=LAKE)
def _watch(
    pipeline: PipelineArgument,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 5,
    looks: Annotated[int | None, typer.Option(min=1, help="How many looks; until Ctrl-C if omitted.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the status again and again, until Ctrl-C. In a terminal each look takes the place of the one before."""
    workspace, console = Workspace.open(Aws(), pipeline), Console()
    done = 0
    while True:
        answer = StatusAnswer(pipelines=(pipeline_answer(pipeline, pipeline_status(workspace)),), failed={})
        console.clear()  # of a terminal only
        show(answer, as_json)
        done += 1
        if done == looks:
            return
        time.sleep(every)


@commands.command("logs", rich_help_panel=MODEL)
def _logs(
    pipeline: PipelineArgument,
    job: Annotated[str | None, typer.Argument(help="A training job; the newest one if omitted.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="The most lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Print the last lines of the log of a training job, as it has written them to CloudWatch Logs."""
    workspace = Workspace.open(Aws(), pipeline)
    workspace.pipeline.require_training()
    if job is None:
        newest = list_jobs(workspace, most=1)
        if not newest:
            raise MissingResource(f"pipeline {pipeline} has trained nothing yet; run {pipeline}_train")
        job = newest[0].name
    show(LogsAnswer(job=job, lines=tuple(log_lines(workspace, job, lines))), as_json)
