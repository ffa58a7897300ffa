"""Asks a live endpoint, and compares its answers with those that the model gave when it was judged (P8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sluice.declaration.problems import Problem
from sluice.errors import DeploymentFailed
from sluice.evaluation.answers import read_answers
from sluice.evaluation.metrics import Numbers
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.models import Model
from sluice.workspace import Workspace

_MOST_BYTES = 5 * 1024**2  # a call takes 6 MiB, and 60 seconds
_MOST_PROBED = 5_000
# Scores are 32-bit sums over trees. Another processor rounds the last digits differently, and a value that is exactly
# on a split may take the other branch.
_SAME_SCORE = 1e-4  # of the answer, or of a usual one where it is near 0
_SAME_ROWS = 0.99


def invoke(workspace: Workspace, endpoint: str, model: Model, rows: Sequence[str]) -> Numbers:
    """Get the answers of a live endpoint.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        endpoint: The name of the endpoint.
        model: The model that serves; its algorithm reads the answers.
        rows: Features as CSV, without line ends.

    Returns:
        The shape ``(rows,)``, or ``(rows, classes)`` for a problem of several classes.

    Raises:
        DeploymentFailed: the answer is not one for each row.
    """
    runtime, algorithm = workspace.aws.client("sagemaker-runtime"), algorithm_named(model.algorithm)
    problem = workspace.pipeline.require_training().problem
    answered: list[Numbers] = [read_answers(algorithm, "", problem.scores)]
    for some in calls_of(rows):
        response = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType=algorithm.content_type,
            Accept=algorithm.accept,
            Body="\n".join(some).encode(),
        )
        text = response["Body"].read().decode(errors="replace")
        try:
            answers = read_answers(algorithm, text, problem.scores)
        except ValueError as error:
            raise _another_kind(endpoint, problem, some, text) from error
        if len(answers) != len(some):
            raise _another_kind(endpoint, problem, some, text)
        answered.append(answers)
    return np.concatenate(answered)


def calls_of(rows: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows of each call: as many as its bytes allow.

    Args:
        rows: Features as CSV, without line ends.
    """
    some: list[str] = []
    size = 0
    for row in rows:
        if some and size + len(row) + 1 > _MOST_BYTES:
            yield some
            some, size = [], 0
        some.append(row)
        size += len(row) + 1
    if some:
        yield some


def _another_kind(endpoint: str, problem: Problem, rows: Sequence[str], text: str) -> DeploymentFailed:
    return DeploymentFailed(
        f"endpoint {endpoint} answered {len(rows)} rows of {problem} with {text[:80]!r}; it serves another kind of "
        f"model: look at what is deployed"
    )


def probe(workspace: Workspace, endpoint: str, model: Model, rows: Sequence[str], expected: Numbers) -> None:
    """Require that a live endpoint answers as the model did when it was judged.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        endpoint: The name of the endpoint.
        model: The model that should serve.
        rows: Features as CSV. Of more than 5,000, some are asked, evenly spread.
        expected: The answer of the model for each row.

    Raises:
        DeploymentFailed: more than 1 % of the answers differ, so another model serves.
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, num=min(len(rows), _MOST_PROBED), dtype=int))
    live = invoke(workspace, endpoint, model, [rows[place] for place in chosen])
    usual = float(np.median(np.abs(expected[chosen])))  # whatever the unit of the answers is
    close = np.isclose(live, expected[chosen], rtol=_SAME_SCORE, atol=_SAME_SCORE * usual)
    same = float((close.all(axis=1) if close.ndim == 2 else close).mean())
    if same < _SAME_ROWS:
        raise DeploymentFailed(
            f"endpoint {endpoint} answers only {same:.0%} of {len(chosen)} rows as the model of training job "
            f"{model.job} did when it was judged: another model serves; look at who else deploys to this endpoint"
        )
