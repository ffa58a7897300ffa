"""Makes a model live without an endpoint: from then on it is the champion, and scores in batch. A record is the act."""

from __future__ import annotations

from sluice.evaluation.verdict import read_verdict, require_winner
from sluice.lake.store import Lake
from sluice.serving.cost import cost_of
from sluice.serving.records import DeploymentRecord, newest_deployments, record_deployment
from sluice.serving.registry import require_approved
from sluice.serving.targets import restorable_record
from sluice.training.models import Model
from sluice.workspace import Workspace


def promote(workspace: Workspace, number: int) -> int:
    """Make the winner of a verdict the model that scores in batch, unless it is.

    Args:
        workspace: The workspace of a pipeline that scores in batch, without an endpoint.
        number: The number of the verdict.

    Returns:
        The number of the record.

    Raises:
        MissingResource: there is no such verdict.
        TrainingFailed: no model may go live.
        DeploymentFailed: the winner waits for approval in the model registry, or was rejected.
    """
    judgement = require_winner(read_verdict(workspace.lake, number))
    require_approved(workspace, judgement.model.job)
    return _number_of(workspace.lake, judgement.model) or record_deployment(
        workspace.lake,
        DeploymentRecord(
            endpoint=None,
            model=judgement.model,
            verdict=number,
            metrics={name: figure.value for name, figure in judgement.metrics.items()},
            recipe=None,
            cost=cost_of(workspace, None, judgement),
        ),
    )


def restore(workspace: Workspace, number: int) -> int:
    """Make an earlier model the one that scores in batch again, unless it is.

    Args:
        workspace: The workspace of a pipeline that scores in batch, without an endpoint.
        number: The number of the record that had made it live.

    Returns:
        The number of the record.

    Raises:
        MissingResource: there is no such record, or its model was removed.
    """
    record, lake = restorable_record(workspace, number), workspace.lake
    again = record.model_copy(update={"endpoint": None, "recipe": None, "scales": False})
    return _number_of(lake, record.model) or record_deployment(lake, again)


def _number_of(lake: Lake, model: Model) -> int | None:
    """Return the number of the record by which a model scores in batch now; None if another one does."""
    number, record = next(((n, each) for n, each in newest_deployments(lake) if each.endpoint is None), (None, None))
    return number if record and record.model == model else None
