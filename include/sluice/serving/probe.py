"""Compares the scores of a live endpoint with those of the artefact: the trained model is the one that serves (P8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sluice.errors import DeploymentFailed
from sluice.evaluation.judge import Judged
from sluice.evaluation.metrics import auc
from sluice.training.algorithms.contract import Algorithm

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_ROWS_A_CALL = 500  # well below the limits of a call: 6 MB and 60 seconds
# Scores are 32-bit sums over trees. Another processor rounds the last digits differently, and a value that is exactly
# on a split may take the other branch.
_SAME_SCORE = 1e-4
_SAME_ROWS = 0.99


def invoke(runtime: SageMakerRuntimeClient, endpoint: str, algorithm: Algorithm, rows: Sequence[str]) -> list[float]:
    """Score rows with a live endpoint.

    Args:
        runtime: The client of the endpoint's account.
        endpoint: The name of the endpoint.
        algorithm: The algorithm of the model that serves; it reads the answers.
        rows: Features as CSV, a missing value an empty field.

    Returns:
        One score for each row.

    Raises:
        DeploymentFailed: the answer is not one finite number for each row.
    """
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


def probe(runtime: SageMakerRuntimeClient, endpoint: str, algorithm: Algorithm, judged: Judged) -> float:
    """Score rows with a live endpoint, and compare each score with that of the job's artefact.

    Args:
        runtime: The client of the endpoint's account.
        endpoint: The name of the endpoint.
        algorithm: The algorithm of the model that must serve.
        judged: Rows with the scores of the artefact.

    Returns:
        The AUC of the live scores.

    Raises:
        DeploymentFailed: the scores of more than 1 % of the rows differ, so another model serves.
    """
    live = np.array(invoke(runtime, endpoint, algorithm, judged.rows.features))
    same = float(np.isclose(live, judged.scores, rtol=_SAME_SCORE, atol=_SAME_SCORE).mean())
    live_auc = auc(judged.rows.labels, live)
    if same < _SAME_ROWS:
        raise DeploymentFailed(
            f"endpoint {endpoint} scores only {same:.0%} of {len(live)} rows as the artefact of its training job does "
            f"(AUC {live_auc:.5f}, the artefact's is {judged.auc:.5f}): another model answers; look at who else "
            f"deploys to this endpoint"
        )
    return live_auc
