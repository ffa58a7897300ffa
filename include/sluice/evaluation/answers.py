"""Reads the answers of models: those that a transform job has left in the lake, and those of an endpoint."""

from __future__ import annotations

import numpy as np

from sluice.dataset.channels import Channel
from sluice.errors import TrainingFailed
from sluice.evaluation.metrics import Numbers
from sluice.training.algorithms.contract import Algorithm, algorithm_named
from sluice.training.models import Model
from sluice.workspace import Workspace


def read_scores(workspace: Workspace, model: Model, folder: str, channel: Channel) -> Numbers:
    """Return the answers of a model for the rows of one channel.

    Args:
        workspace: The workspace of the pipeline that trained.
        model: The model that was scored.
        folder: The folder of the answers.
        channel: ``validation`` or ``test``.

    Returns:
        The shape ``(rows,)``, or ``(rows, classes)`` for a problem of several classes.

    Raises:
        MissingResource: the answers do not exist.
        TrainingFailed: an answer is not one finite number for each score of the problem.
    """
    lake, problem = workspace.lake, workspace.pipeline.require_training().problem
    key = f"{folder}{channel}.csv.out"
    try:
        return read_answers(algorithm_named(model.algorithm), lake.get(key).decode(), problem.scores)
    except ValueError as error:
        raise TrainingFailed(f"{lake.uri(key)} has answers that are not those of {problem}: {error}") from error


def read_answers(algorithm: Algorithm, body: str, scores: int) -> Numbers:
    """Parse the answers of a model.

    Args:
        algorithm: Reads one line.
        body: One line for each row.
        scores: How many numbers each row has.

    Returns:
        The shape ``(rows,)`` if ``scores`` is 1, else ``(rows, scores)``.

    Raises:
        ValueError: a line has something else than that many finite numbers.
    """
    rows = [algorithm.read_answer(line) for line in body.splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) != scores:
            raise ValueError(f"line {number} has {len(row)} numbers, not {scores}")
    answers = np.array(rows, dtype=np.float64).reshape(len(rows), scores)
    if not np.isfinite(answers).all():
        raise ValueError("a number is not finite")
    return answers[:, 0] if scores == 1 else answers
