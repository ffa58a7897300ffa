"""Compares the scores of a live endpoint with those of the artefact: the trained model is the one that serves (P8)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sluice.aws.clients import Aws
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeploymentFailed
from sluice.evaluation.judge import Judged
from sluice.evaluation.metrics import auc
from sluice.training.algorithms.contract import algorithm_of
from sluice.workspace import Workspace

_ROWS_A_CALL = 500  # well below the limits of a call: 6 MB and 60 seconds
# Scores are 32-bit sums over trees. Another processor rounds the last digits differently, and a value that is exactly
# on a split may take the other branch.
_SAME_SCORE = 1e-4
_SAME_ROWS = 0.99


def invoke(aws: Aws, pipeline: Pipeline, endpoint: str, rows: Sequence[str]) -> list[float]:
    """Score rows with a live endpoint. No other service is called, so the pipeline's resources need not be found.

    Args:
        aws: The clients of the endpoint's account.
        pipeline: A pipeline that declares a training; its algorithm reads the answers.
        endpoint: The name of the endpoint.
        rows: Features as CSV, a missing value an empty field.

    Returns:
        One score for each row.

    Raises:
        DeploymentFailed: the answer is not one finite number for each row.
    """
    runtime, algorithm = aws.client("sagemaker-runtime"), algorithm_of(pipeline.require_training().candidate)
    scores: list[float] = []
    for start in range(0, len(rows), _ROWS_A_CALL):
        some = rows[start : start + _ROWS_A_CALL]
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType=algorithm.content_type,
            Accept=algorithm.content_type,
            Body="\n".join(some).encode(),
        )
        text = answer["Body"].read().decode(errors="replace")
        try:
            answered = algorithm.read_answer(text)
        except ValueError:
            answered = []
        if len(answered) != len(some) or not all(map(math.isfinite, answered)):
            raise DeploymentFailed(
                f"endpoint {endpoint} answered {len(some)} rows with {text[:80]!r}; it serves another kind of model: "
                f"look at what is deployed"
            )
        scores.extend(answered)
    return scores


def probe(workspace: Workspace, endpoint: str, judged: Judged) -> float:
    """Score rows with a live endpoint, and compare each score with that of the job's artefact.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        endpoint: The name of the endpoint.
        judged: Rows with the scores of the artefact.

    Returns:
        The AUC of the live scores.

    Raises:
        DeploymentFailed: the scores of more than 1 % of the rows differ, so another model serves.
    """
    live = np.array(invoke(workspace.aws, workspace.pipeline, endpoint, judged.rows.features))
    same = float(np.isclose(live, judged.scores, rtol=_SAME_SCORE, atol=_SAME_SCORE).mean())
    live_auc = auc(judged.rows.labels, live)
    if same < _SAME_ROWS:
        raise DeploymentFailed(
            f"endpoint {endpoint} scores only {same:.0%} of {len(live)} rows as the artefact of its training job does "
            f"(AUC {live_auc:.5f}, the artefact's is {judged.value('auc'):.5f}): another model answers; look at who "
            f"else deploys to this endpoint"
        )
    return live_auc
