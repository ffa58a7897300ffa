"""What can be made live: the winner of a verdict, or what an earlier deployment had made live."""

from __future__ import annotations

from sluice.evaluation.verdict import read_verdict, require_winner
from sluice.serving.plan import Target
from sluice.serving.recipe import recipe_of_model
from sluice.serving.records import deployment_record
from sluice.workspace import Workspace


def target_of_verdict(workspace: Workspace, number: int) -> Target:
    """Return the winner of a verdict, as the pipeline declares its deployment now.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        number: The number of the verdict.

    Raises:
        MissingResource: there is no such verdict.
        TrainingFailed: no model may go live.
    """
    model = require_winner(read_verdict(workspace.lake, number)).model
    return Target(model=model, recipe=recipe_of_model(workspace, model), verdict=number)


def target_of_record(workspace: Workspace, number: int) -> Target:
    """Return what an earlier deployment had made live.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        number: The number of the deployment.

    Raises:
        MissingResource: there is no such deployment.
    """
    record = deployment_record(workspace.lake, number)
    return Target(model=record.model, recipe=record.recipe, verdict=record.verdict)
