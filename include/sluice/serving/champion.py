"""The champion: the model that is live."""

from __future__ import annotations

from sluice.dataset.snapshot import read_snapshot
from sluice.errors import MissingResource
from sluice.serving.endpoint import find_endpoint
from sluice.serving.records import last_proven
from sluice.training.models import Model, has_artefact
from sluice.workspace import Workspace


def find_champion(workspace: Workspace, fingerprint: str) -> Model | None:
    """Return the model that is live, if it can be judged beside others.

    Args:
        workspace: The workspace of the pipeline.
        fingerprint: The fingerprint of the snapshot whose rows judge.

    Returns:
        None if the pipeline declares no deployment, if nothing proven is live, if the model's artefact or its own
        snapshot is gone, or if the rows have another label or lack a feature that the model takes.
    """
    deployment = workspace.pipeline.deployment
    if deployment is None:
        return None
    live, proven = find_endpoint(workspace, deployment.endpoint), last_proven(workspace.lake, deployment.endpoint)
    if live is None or proven is None or live.config != proven.config:
        return None
    fits = has_artefact(workspace, proven.model.artefact) and _takes_rows_of(workspace, proven.model, fingerprint)
    return proven.model if fits else None


def _takes_rows_of(workspace: Workspace, model: Model, fingerprint: str) -> bool:
    rows = read_snapshot(workspace.lake, fingerprint)
    try:
        own = read_snapshot(workspace.lake, model.snapshot)
    except MissingResource:
        return False
    return own.label == rows.label and set(own.encoding.features) <= set(rows.encoding.features)
