"""The commands that change or list what an endpoint serves. They drive the same deployment as the DAGs."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from sluice.aws.clients import Aws
from sluice.cli.arguments import PipelineArgument
from sluice.cli.tables import deployments_table
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


@commands.command("deploy")
def _deploy(
    pipeline: PipelineArgument,
    version: Annotated[
        int | None, typer.Option(help="The version in the model registry; the winner of the newest verdict if omitted.")
    ] = None,
) -> None:
    """Make the newest winner, or a version of the model, live, and prove it; restore what served before otherwise.

    Without an endpoint, the model scores in batch from then on.
    """
    workspace = _opened(pipeline)
    verdict = verdict_to_deploy(workspace, version)
    if workspace.pipeline.deployment is None:
        _report_record(workspace, promote(workspace, verdict))
    else:
        _drive(workspace, target_of_verdict(workspace, verdict))


@commands.command("rollback")
def _roll_back(
    pipeline: PipelineArgument,
    to: Annotated[int | None, typer.Option(help="The number of the deployment; the one before if omitted.")] = None,
) -> None:
    """Make live what an earlier deployment had made live, and prove it. `sluice deployments` lists them."""
    workspace = _opened(pipeline)
    number = deployment_to_restore(workspace, to)
    if workspace.pipeline.deployment is None:
        _report_record(workspace, restore_promoted(workspace, number))
    else:
        _drive(workspace, target_of_record(workspace, number))


@commands.command("deployments")
def _deployments(pipeline: PipelineArgument) -> None:
    """List what was made live, when its model was trained, and what it reached on its test rows."""
    workspace = _opened(pipeline)
    Console().print(deployments_table(pipeline, deployment_records(workspace.lake)))


def _opened(pipeline: str) -> Workspace:
    """Return the workspace of a pipeline whose model goes live: at an endpoint, or where it scores in batch."""
    workspace = Workspace.open(Aws(), pipeline)
    if workspace.pipeline.scoring is None:
        workspace.pipeline.require_deployment()
    return workspace


def _report_record(workspace: Workspace, number: int) -> None:
    job = deployment_record(workspace.lake, number).model.job
    typer.echo(f"deployment {number}: the model of {job} scores {workspace.pipeline.rows_to_score} in batch")


def _drive(workspace: Workspace, target: Target) -> None:
    """Take the steps of a deployment to its end. If it takes too long, undo it, which may take as long again."""
    longest = longest_change(workspace.pipeline).total_seconds()
    step = _follow(workspace, target, take(start, workspace, target), longest)
    if isinstance(step, Wait):
        reason = f"the wait for {step.what} took longer than {longest / 60:.0f} minutes"
        step = _follow(workspace, target, restore(workspace, target, reason, passes=True), longest)
    if isinstance(step, Done):
        _report(step)
        return
    endless = (
        "so did the roll-back, so it may serve an unproven model: check its events in SageMaker, then deploy again"
    )
    raise DeploymentFailed(step.reason if isinstance(step, Failed) else f"{reason}; {endless}")


def _follow(workspace: Workspace, target: Target, step: Step, seconds: float) -> Step:
    """Take the steps after this one; return the last, which is a wait if the time is over."""
    begun = time.monotonic()
    while isinstance(step, Wait) and (lasted := time.monotonic() - begun) < seconds:
        typer.echo(f"waiting for {step.what}; {timedelta(seconds=round(lasted))} so far", err=True)
        time.sleep(_LOOK_SECONDS)
        step = take(advance if step.begun else start, workspace, target)
    return step


def _report(done: Done) -> None:
    typer.echo(f"deployment {done.number}: {done.record.endpoint} serves the model of {done.record.model.job}, proven")
