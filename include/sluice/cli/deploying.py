"""The commands that change or list what an endpoint serves. They drive the same deployment as the DAGs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

import typer
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import MODEL, AsJson, PipelineArgument
from sluice.cli.notes import note
from sluice.cli.tables import Listing, listing
from sluice.cli.words import metric, moment
from sluice.errors import DeploymentFailed
from sluice.serving.deployment import Done, Failed, Step, Wait, advance, start
from sluice.serving.driver import restore, take
from sluice.serving.plan import Target
from sluice.serving.promotion import promote
from sluice.serving.promotion import restore as restore_promoted
from sluice.serving.records import deployment_record, deployment_records
from sluice.serving.rollout import longest_change
from sluice.serving.targets import deployment_to_restore, target_of_record, target_of_verdict, verdict_to_deploy
from sluice.workspace import Workspace

commands = typer.Typer()

_LOOK_SECONDS = 5.0


class MadeLiveAnswer(Answer):
    """What is live now: the number of its deployment, the training job of its model, and where it answers."""

    command: ClassVar[str] = "deploy, rollback"
    number: int
    job: str
    endpoint: str | None
    scores: str | None

    @override
    def texts(self) -> Iterator[str]:
        if self.endpoint is None:
            yield f"deployment {self.number}: the model of {self.job} scores {self.scores} in batch"
        else:
            yield f"deployment {self.number}: {self.endpoint} serves the model of {self.job}, proven"


class DeploymentAnswer(Member):
    """A deployment: where, the training job of its model and when that ended, and the verdict that chose it."""

    number: int
    endpoint: str | None
    job: str
    trained: datetime
    verdict: int
    metrics: Mapping[str, float | None]


class DeploymentsAnswer(Answer):
    """What was made live, oldest first."""

    command: ClassVar[str] = "deployments"
    pipeline: str
    deployments: tuple[DeploymentAnswer, ...]

    @override
    def texts(self) -> Iterator[Listing]:
        yield listing(
            f"{self.pipeline}: deployments",
            ("number", "endpoint", "model", "trained", "verdict", "test metrics"),
            [
                (
                    each.number,
                    each.endpoint or "-",
                    each.job,
                    moment(each.trained),
                    each.verdict,
                    ", ".join(f"{name} {metric(value)}" for name, value in each.metrics.items()),
                )
                for each in self.deployments
            ],
        )


@commands.command("deploy", rich_help_panel=MODEL)
def _deploy(
    pipeline: PipelineArgument,
    version: Annotated[
        int | None, typer.Option(help="The version in the model registry; the winner of the newest verdict if omitted.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the newest winner, or a version of the model, live, and prove it; restore what served before otherwise.

    Without an endpoint, the model scores in batch from then on.
    """
    workspace = _opened(pipeline)
    verdict = verdict_to_deploy(workspace, version)
    if workspace.pipeline.deployment is None:
        number = promote(workspace, verdict)
    else:
        number = _drive(workspace, target_of_verdict(workspace, verdict))
    show(_made_live(workspace, number), as_json)


@commands.command("rollback", rich_help_panel=MODEL)
def _roll_back(
    pipeline: PipelineArgument,
    to: Annotated[int | None, typer.Option(help="The number of the deployment; the one before if omitted.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make live what an earlier deployment had made live, and prove it. `sluice deployments` lists them."""
    workspace = _opened(pipeline)
    earlier = deployment_to_restore(workspace, to)
    if workspace.pipeline.deployment is None:
        number = restore_promoted(workspace, earlier)
    else:
        number = _drive(workspace, target_of_record(workspace, earlier))
    show(_made_live(workspace, number), as_json)


@commands.command("deployments", rich_help_panel=MODEL)
def _deployments(pipeline: PipelineArgument, as_json: AsJson = False) -> None:
    """List what was made live, when its model was trained, and what it reached on its test rows."""
    deployments = tuple(
        DeploymentAnswer(
            number=number,
            endpoint=record.endpoint,
            job=record.model.job,
            trained=record.model.trained,
            verdict=record.verdict,
            metrics=record.metrics,
        )
        for number, record in deployment_records(_opened(pipeline).lake).items()
    )
    show(DeploymentsAnswer(pipeline=pipeline, deployments=deployments), as_json)


def _opened(pipeline: str) -> Workspace:
    """Return the workspace of a pipeline whose model goes live: at an endpoint, or where it scores in batch."""
    workspace = Workspace.open(Aws(), pipeline)
    if workspace.pipeline.scoring is None:
        workspace.pipeline.require_deployment()
    return workspace


def _made_live(workspace: Workspace, number: int) -> MadeLiveAnswer:
    record = deployment_record(workspace.lake, number)
    scores = workspace.pipeline.rows_to_score if record.endpoint is None else None
    return MadeLiveAnswer(number=number, job=record.model.job, endpoint=record.endpoint, scores=scores)


def _drive(workspace: Workspace, target: Target) -> int:
    """Take the steps of a deployment to its end, and return its number.

    If it takes too long, undo it, which may take as long again.
    """
    longest = longest_change(workspace.pipeline).total_seconds()
    step = _follow(workspace, target, take(start, workspace, target), longest)
    if isinstance(step, Wait):
        reason = f"the wait for {step.what} took longer than {longest / 60:.0f} minutes"
        step = _follow(workspace, target, restore(workspace, target, reason, passes=True), longest)
    if isinstance(step, Done):
        return step.number
    endless = (
        "so did the roll-back, so it may serve an unproven model: check its events in SageMaker, then deploy again"
    )
    raise DeploymentFailed(step.reason if isinstance(step, Failed) else f"{reason}; {endless}")


def _follow(workspace: Workspace, target: Target, step: Step, seconds: float) -> Step:
    """Take the steps after this one; return the last, which is a wait if the time is over."""
    begun = time.monotonic()
    while isinstance(step, Wait) and (lasted := time.monotonic() - begun) < seconds:
        note(f"waiting for {step.what}; {timedelta(seconds=round(lasted))} so far")
        time.sleep(_LOOK_SECONDS)
        step = take(advance if step.begun else start, workspace, target)
    return step
