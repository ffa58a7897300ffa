"""The commands that list the features of a row, and score rows with the live model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import ClassVar

import typer
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import MODEL, AsJson, PipelineArgument
from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.loading import load_pipeline
from sluice.errors import SluiceError
from sluice.serving.probe import invoke
from sluice.serving.records import require_proven
from sluice.serving.rows import BadRow, model_rows
from sluice.workspace import Workspace

commands = typer.Typer()


class FeatureAnswer(Member):
    """A feature, and its kind."""

    name: str
    kind: str


class FeaturesAnswer(Answer):
    """The features of a row, in order."""

    command: ClassVar[str] = "features"
    features: tuple[FeatureAnswer, ...]

    @override
    def texts(self) -> Iterator[str]:
        for feature in self.features:
            yield f"{feature.name}\t{feature.kind}"


class PredictAnswer(Answer):
    """The answers, one for each row: one number, or a probability for each class."""

    command: ClassVar[str] = "predict"
    endpoint: str
    job: str
    answers: tuple[tuple[float, ...], ...]

    @override
    def texts(self) -> Iterator[str]:
        for answer in self.answers:
            yield ",".join(map(str, answer))


@commands.command("features", rich_help_panel=MODEL)
def _features(pipeline: PipelineArgument, as_json: AsJson = False) -> None:
    """Print the features of a row, in order: the name and the kind of each, a line for each."""
    inputs = load_pipeline(pipeline).require_training().inputs
    show(FeaturesAnswer(features=tuple(map(FeatureAnswer.model_validate, inputs))), as_json)


@commands.command("predict", rich_help_panel=MODEL)
def _predict(pipeline: PipelineArgument, as_json: AsJson = False) -> None:
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
    answers = invoke(workspace, endpoint, model, rows).reshape(len(rows), -1)
    show(PredictAnswer(endpoint=endpoint, job=model.job, answers=tuple(map(tuple, answers.tolist()))), as_json)
