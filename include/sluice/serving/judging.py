"""The steps from trained jobs to a verdict: the challengers and the champion score the same rows, and are judged."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.evaluation.judge import judge
from sluice.evaluation.scoring import launch_scoring
from sluice.evaluation.verdict import read_verdict, record_verdict, require_winner
from sluice.serving.champion import find_champion
from sluice.training.announce import announce_training
from sluice.training.models import trained_models
from sluice.workspace import Workspace


def launch_scorings(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> list[str]:
    """Reuse, adopt or start the job that scores the test rows with each model, and with the one that is live.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_names: The completed training jobs.
        fingerprint: The fingerprint of the snapshot that they were trained on.

    Returns:
        The names of the transform jobs.

    Raises:
        TrainingFailed: a training job has not completed, or a scoring failed five times.
    """
    champion = find_champion(workspace, fingerprint)
    models = trained_models(workspace, job_names, fingerprint)
    contestants = {model.job: model for model in [*models, *([champion] if champion else [])]}
    return [launch_scoring(workspace, model, fingerprint).job_name for model in contestants.values()]


def make_verdict(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> int:
    """Judge the models beside the one that is live, and record the verdict.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_names: The completed training jobs, whose models have scored the test rows.
        fingerprint: The fingerprint of the snapshot that they were trained on.

    Returns:
        The number of the verdict.

    Raises:
        TrainingFailed: no model may be live.
        MissingResource: a model has not scored the rows.
    """
    models = trained_models(workspace, job_names, fingerprint)
    verdict = judge(workspace, models, find_champion(workspace, fingerprint), fingerprint)
    number = record_verdict(workspace.lake, verdict)
    require_winner(verdict)
    return number


def announce_winner(workspace: Workspace, number: int, run_id: str) -> bool:
    """Publish that the training of a verdict's winner is complete, unless that was published before.

    Args:
        workspace: The workspace of the pipeline that trained.
        number: The number of the verdict.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        Whether this call published it.
    """
    model = require_winner(read_verdict(workspace.lake, number)).model
    return announce_training(workspace, model.job, model.snapshot, run_id)
