"""Scores frozen rows with a model, by a batch transform job: SageMaker's own container answers, whatever the algorithm.

The answers stay in the lake. The verdict is made from them, and a live endpoint must give the same ones.
"""

from __future__ import annotations

from typing import Any

from sluice.evaluation.inputs import inputs_folder, write_inputs
from sluice.evaluation.transforms import launch_transform, transform_request
from sluice.training.attempts import Launch
from sluice.training.models import Model
from sluice.workspace import Workspace


def launch_scoring(workspace: Workspace, model: Model, fingerprint: str) -> Launch:
    """Reuse, adopt or start the job that scores the validation and test rows of a snapshot with a model.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model; it may have been trained on another snapshot.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: the snapshot does not exist, or the pipeline's stack has no role for SageMaker.
        TrainingFailed: five attempts of this scoring have failed or were stopped.
    """
    write_inputs(workspace, model, fingerprint)
    request = scoring_request(workspace, model, fingerprint)
    folder = workspace.lake.layout.scores(request["TransformJobName"])
    return launch_transform(workspace, model, request, lambda: any(workspace.lake.objects(folder)))


def scoring_request(workspace: Workspace, model: Model, fingerprint: str) -> dict[str, Any]:
    """Return the CreateTransformJob request. Its name ends in a digest of all that decides the answers.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model.
        fingerprint: The fingerprint of the snapshot.
    """
    rows = inputs_folder(workspace, model, fingerprint)
    return transform_request(workspace, model, rows, workspace.lake.layout.scores, model.instance_type)


def scores_folder(workspace: Workspace, model: Model, fingerprint: str) -> str:
    """Return the folder of the answers, which all attempts of a scoring share.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model.
        fingerprint: The fingerprint of the snapshot.
    """
    return workspace.lake.layout.scores(scoring_request(workspace, model, fingerprint)["TransformJobName"])
