"""The proof of a deployment: the requested configuration is live, and answers as its model did when it was judged."""

from __future__ import annotations

from sluice.evaluation.answers import read_scores
from sluice.evaluation.inputs import inputs_folder
from sluice.evaluation.verdict import read_verdict
from sluice.serving.cost import cost_of
from sluice.serving.endpoint import Endpoint, check_live
from sluice.serving.plan import Target
from sluice.serving.probe import probe
from sluice.serving.records import DeploymentRecord
from sluice.serving.rollout import alarm_names
from sluice.serving.scaling import scales_as_declared
from sluice.workspace import Workspace


def prove_live(workspace: Workspace, target: Target, live: Endpoint | None) -> None:
    """Require that the target's configuration is live, and answers the test rows as its model did in the verdict.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        target: What should be live.
        live: The endpoint as it was read back; None if it does not exist.

    Raises:
        DeploymentFailed: another configuration is live, or another model answers.
        MissingResource: the verdict or its rows do not exist.
    """
    lake, name = workspace.lake, workspace.pipeline.require_deployment().endpoint
    canary = workspace.pipeline.require_deployment().canary
    check_live(name, live, target.config, alarm_names(workspace.pipeline) if canary else ())
    verdict = read_verdict(lake, target.verdict)
    scores = verdict.judgement(target.model.job).scores
    folder = inputs_folder(workspace, target.model, verdict.snapshot)
    rows = lake.get(f"{folder}test.csv").decode().splitlines()
    probe(workspace, name, target.model, rows, read_scores(workspace, target.model, scores, "test"))


def record_of(workspace: Workspace, target: Target) -> DeploymentRecord:
    """Return the record of a target that was proven to be live.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        target: What is live.

    Raises:
        MissingResource: the verdict does not exist.
    """
    judgement = read_verdict(workspace.lake, target.verdict).judgement(target.model.job)
    deployment = workspace.pipeline.require_deployment()
    return DeploymentRecord(
        endpoint=deployment.endpoint,
        model=target.model,
        verdict=target.verdict,
        metrics={name: figure.value for name, figure in judgement.metrics.items()},
        recipe=target.recipe,
        cost=cost_of(workspace, target.recipe, judgement),
        scales=scales_as_declared(deployment, target.recipe),
    )
