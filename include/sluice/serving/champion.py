"""The champion: the model that is live."""

from __future__ import annotations

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.serving.endpoint import find_endpoint
from sluice.serving.records import last_proven
from sluice.training.models import Model
from sluice.workspace import Workspace


def find_champion(workspace: Workspace) -> Model | None:
    """Return the model that is live, if it can be judged beside others.

    Args:
        workspace: The workspace of the pipeline.

    Returns:
        None if the pipeline declares no deployment, if nothing proven is live, or if the model's artefact is gone.
    """
    deployment = workspace.pipeline.deployment
    if deployment is None:
        return None
    live, proven = find_endpoint(workspace, deployment.endpoint), last_proven(workspace.lake, deployment.endpoint)
    if live is None or proven is None or live.config != proven.config or not _has_artefact(workspace, proven.model):
        return None
    return proven.model


def _has_artefact(workspace: Workspace, model: Model) -> bool:
    bucket, _, key = model.artefact.removeprefix("s3://").partition("/")
    try:
        workspace.aws.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    return True
