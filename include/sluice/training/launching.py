"""Launches the training of a candidate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.candidates import Candidate
from sluice.training.attempts import Launch, launch
from sluice.training.jobs import Job, find_job
from sluice.training.models import has_artefact
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
    return launch(request, "TrainingJobName", partial(_find, workspace), create)


def _find(workspace: Workspace, name: str) -> Job | None:
    """Return a job. One whose artefact was removed since counts as stopped, so that the next attempt trains again."""
    job = find_job(workspace, name)
    if job is None or not job.completed or has_artefact(workspace, job.model_uri):
        return job
    return replace(job, status="Stopped", failure_reason="its artefact was removed")
