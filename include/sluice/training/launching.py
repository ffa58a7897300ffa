"""Launches the training of a candidate."""

from __future__ import annotations

from functools import partial

from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.candidates import Candidate
from sluice.training.attempts import Launch, launch
from sluice.training.jobs import find_job
from sluice.training.request import training_request
from sluice.workspace import Workspace


def launch_training(workspace: Workspace, candidate: Candidate, fingerprint: str) -> Launch:
    """Reuse, adopt or start the training of a candidate on a snapshot.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        candidate: What is trained.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: there is no such snapshot.
        TrainingFailed: five attempts of this training have failed or were stopped.
    """
    request = training_request(workspace, candidate, read_snapshot(workspace.lake, fingerprint))
    create = workspace.aws.client("sagemaker").create_training_job
    return launch(request, "TrainingJobName", partial(find_job, workspace), create)
