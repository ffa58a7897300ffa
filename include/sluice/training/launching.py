"""Launches the training of a candidate."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.candidates import Candidate
from sluice.declaration.tuning import Tuning
from sluice.training.attempts import Launch, PaidJob, attempts, launch
from sluice.training.kinds import TRAINING, TUNING, JobKind
from sluice.training.members import run_tags
from sluice.training.models import has_artefact
from sluice.training.prices import price_of
from sluice.training.request import training_request
from sluice.training.tuning_request import tuning_request
from sluice.workspace import Workspace

_log = logging.getLogger(__name__)


def launch_training(workspace: Workspace, candidate: Candidate, fingerprint: str, run_id: str | None = None) -> Launch:
    """Reuse, adopt or start the training of a candidate on a snapshot: a tuning job if the candidate declares one.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        candidate: What is trained.
        fingerprint: The fingerprint of the snapshot.
        run_id: The run that launches it, for a tag of the job. It is no part of the job's name.

    Raises:
        MissingResource: there is no such snapshot.
        TrainingFailed: five attempts of this training have failed or were stopped.
    """
    snapshot, sagemaker = read_snapshot(workspace.lake, fingerprint), workspace.aws.client("sagemaker")
    if candidate.tuning is None:
        request = _tagged(training_request(workspace, candidate, snapshot), run_id)
        return launch(request, "TrainingJobName", partial(_find, workspace, TRAINING), sagemaker.create_training_job)
    request = _tagged(tuning_request(workspace, candidate, candidate.tuning, snapshot), run_id)
    create = sagemaker.create_hyper_parameter_tuning_job
    launched = launch(request, "HyperParameterTuningJobName", partial(_find, workspace, TUNING), create)
    _log.info(
        "tuning job %s (%s): %s", launched.job_name, launched.action, _most(workspace, candidate, candidate.tuning)
    )
    return launched


def names_of_training(workspace: Workspace, candidate: Candidate, fingerprint: str) -> Iterator[str]:
    """Return the names that the jobs of a candidate on a snapshot have or would have: one for each attempt.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        candidate: What is trained.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: there is no such snapshot.
    """
    snapshot = read_snapshot(workspace.lake, fingerprint)
    if candidate.tuning is None:
        return attempts(training_request(workspace, candidate, snapshot)["TrainingJobName"])
    request = tuning_request(workspace, candidate, candidate.tuning, snapshot)
    return attempts(request["HyperParameterTuningJobName"])


def _tagged(request: Mapping[str, Any], run_id: str | None) -> Mapping[str, Any]:
    return {**request, "Tags": [*request["Tags"], *run_tags(run_id)]}


def _most(workspace: Workspace, candidate: Candidate, tuning: Tuning) -> str:
    """Return what a tuning job costs at most: all training jobs run as long as they may."""
    longest = workspace.pipeline.require_training().max_runtime
    price = price_of(workspace, candidate.instance_type, tuning.jobs * longest.total_seconds())
    cost = "at no known price" if price is None else f"{price:.2f} USD at most"
    return f"{tuning.jobs} training jobs of at most {longest} on {candidate.instance_type}, {cost}"


def _find(workspace: Workspace, kind: JobKind, name: str) -> PaidJob | None:
    """Return a job. One whose artefact was removed since counts as stopped, so that the next attempt trains again."""
    job = kind.find(workspace, name)
    if job is None or not job.completed or has_artefact(workspace, kind.artefact(workspace, job)):
        found: PaidJob | None = job
        return found
    stopped: PaidJob = replace(job, status="Stopped", failure_reason="its artefact was removed")
    return stopped
