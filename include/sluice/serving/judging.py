"""The steps from trained jobs to a verdict: the challengers and the champion score the same rows, and are judged."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sluice.evaluation.judge import judge
from sluice.evaluation.scoring import launch_scoring, scoring_request
from sluice.evaluation.verdict import newest_number, read_verdict, record_verdict, require_winner
from sluice.serving.champion import find_champion
from sluice.serving.registry import register
from sluice.training.announce import announce_training
from sluice.training.attempts import attempts
from sluice.training.models import Model, trained_models
from sluice.workspace import Workspace

_LOG = logging.getLogger(__name__)


def launch_scorings(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> list[str]:
    """Reuse, adopt or start the job that scores the test rows with each model, and with the one that is live.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_names: The completed training jobs and tuning jobs.
        fingerprint: The fingerprint of the snapshot that they were trained on.

    Returns:
        The names of the transform jobs.

    Raises:
        TrainingFailed: a job has not completed, or a scoring failed five times.
    """
    models = _contestants(workspace, job_names, fingerprint)
    return [launch_scoring(workspace, model, fingerprint).job_name for model in models]


def names_of_scorings(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> list[str]:
    """Return the names that the jobs of :func:`launch_scorings` have or would have: one for each model and attempt.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_names: The completed training jobs and tuning jobs.
        fingerprint: The fingerprint of the snapshot that they were trained on.

    Raises:
        TrainingFailed: a job has not completed.
    """
    requests = (
        scoring_request(workspace, model, fingerprint) for model in _contestants(workspace, job_names, fingerprint)
    )
    return [name for request in requests for name in attempts(request["TransformJobName"])]


def _contestants(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> list[Model]:
    """Return the models that score the same rows: those of the jobs, and the one that is live."""
    champion = find_champion(workspace, fingerprint)
    models = trained_models(workspace, job_names, fingerprint)
    return list({model.job: model for model in [*models, *([champion] if champion else [])]}.values())


def make_verdict(workspace: Workspace, job_names: Sequence[str], fingerprint: str) -> int:
    """Judge the models beside the one that is live, record the verdict, and register its winner, if there is one.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_names: The completed training jobs and tuning jobs, whose models have scored the test rows.
        fingerprint: The fingerprint of the snapshot that they were trained on.

    Returns:
        The number of the verdict.

    Raises:
        MissingResource: a model has not scored the rows.
        TrainingFailed: a job has not completed.
    """
    champion, lake = find_champion(workspace, fingerprint), workspace.lake
    models = trained_models(workspace, job_names, fingerprint)
    number = _answered(workspace, models, champion, fingerprint)
    if number is None:
        verdict = judge(workspace, models, champion, fingerprint)
        number = record_verdict(lake, verdict)
        if verdict.winner is not None:
            register(workspace, number)
    _LOG.info("%s", read_verdict(lake, number).describe(number))
    return number


def _answered(workspace: Workspace, models: Sequence[Model], champion: Model | None, fingerprint: str) -> int | None:
    """Return the number of the newest verdict if it is about the same models and rules, and its winner is live.

    The same training again would compare the champion with itself, and record a verdict that says nothing new.
    """
    number = newest_number(workspace.lake)
    if number is None or champion is None:
        return None
    verdict, gate = read_verdict(workspace.lake, number), workspace.pipeline.require_training().gate
    jobs = tuple(model.job for model in models)
    same = verdict.snapshot == fingerprint and verdict.by_rules_of(gate) and verdict.challengers == jobs
    return number if same and verdict.winner == champion.job else None


def announce_winner(workspace: Workspace, number: int, run_id: str) -> bool:
    """Publish that the training of a verdict's winner is complete, unless that was published before.

    Args:
        workspace: The workspace of the pipeline that trained.
        number: The number of the verdict.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        Whether this call published it.

    Raises:
        TrainingFailed: no model may be live; the message has the reasons.
    """
    model = require_winner(read_verdict(workspace.lake, number)).model
    return announce_training(workspace, model.job, model.snapshot, run_id)
