"""The command that takes a pipeline through its life in one process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

import typer
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import SET_UP, AsJson, First, Last, PipelineArgument
from sluice.cli.notes import note
from sluice.cli.tables import Listing, listing
from sluice.cli.words import ranges
from sluice.declaration.sources import SETTLING
from sluice.dev import Ingested, Transformed, ingest, train, transform
from sluice.evaluation.verdict import read_verdict
from sluice.lake.partitions import requested
from sluice.workspace import Workspace

commands = typer.Typer()


class Stage(StrEnum):
    """A stage of a pipeline's life."""

    INGEST = "ingest"
    TRANSFORM = "transform"
    TRAIN = "train"


class VerdictAnswer(Member):
    """The verdict of the training, the job of the model that should be live, and the reasons; ``report`` is in S3."""

    number: int
    winner: str | None
    reasons: tuple[str, ...]
    report: str


class DevAnswer(Answer):
    """What each stage has done; ``verdict`` is null if nothing was trained."""

    command: ClassVar[str] = "dev"

    pipeline: str
    ingested: tuple[Ingested, ...]
    transformed: tuple[Transformed, ...]
    verdict: VerdictAnswer | None

    @override
    def texts(self) -> Iterator[Listing | str]:
        yield listing(
            f"{self.pipeline}: ingest",
            ("source", "messages", "parts", "closed"),
            [(each.source, each.messages, each.parts, ranges(each.closed)) for each in self.ingested],
        )
        yield listing(
            f"{self.pipeline}: transform",
            ("step", "new partitions", "rows in", "rows out", "rejected", "held back"),
            [
                (each.step, each.changed, each.rows_in, each.rows_out, each.rejected or None, each.held_back or None)
                for each in self.transformed
            ],
        )
        if self.verdict is not None:
            yield from self.verdict.reasons
            yield f"the report of verdict {self.verdict.number} is {self.verdict.report}"
            if self.verdict.winner is not None:
                yield f"`sluice deploy {self.pipeline}` makes the model of {self.verdict.winner} live"


@commands.command("dev", rich_help_panel=SET_UP)
def _dev(
    pipeline: PipelineArgument,
    until: Annotated[Stage, typer.Option(help="The last stage.")] = Stage.TRAIN,
    first: First = None,
    last: Last = None,
    settling_seconds: Annotated[
        int, typer.Option(min=0, help="How long a queue's counters have to be zero; 0 for the embedded cloud.")
    ] = SETTLING.seconds,
    poll_seconds: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at a job.")] = 15,
    as_json: AsJson = False,
) -> None:
    """Ingest, transform and train in this process, for quick turns without Airflow. What is done is not done again.

    It calls what the DAGs call, and they go on where it has stopped: the next run announces what is complete. Steps run
    here, whatever their runtime is. No model goes live; `sluice deploy` makes it live.
    """
    workspace = Workspace.open(Aws(), pipeline)
    declared, settling = workspace.pipeline, timedelta(seconds=settling_seconds)
    partitions = requested(declared.calendar, None, first, last) if first or last else None
    ingested = [ingest(workspace, source, settling, note) for source in declared.event_sources]
    transformed = [] if until is Stage.INGEST else transform(workspace, partitions, note)
    verdict = None
    if until is Stage.TRAIN and declared.training is not None:
        number = train(workspace, first, last, poll_seconds, note)
        found, report = read_verdict(workspace.lake, number), workspace.lake.uri(workspace.lake.layout.report(number))
        verdict = VerdictAnswer(number=number, winner=found.winner, reasons=found.reasons, report=report)
    answer = DevAnswer(
        pipeline=pipeline,
        ingested=tuple(ingested),
        transformed=tuple(transformed),
        verdict=verdict,
    )
    show(answer, as_json)
