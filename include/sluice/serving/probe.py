"""Asks a live endpoint for what is known already: the model that trained is the model that answers (P8)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from sluice.dataset.snapshot import Channel, channel_key
from sluice.errors import DeploymentFailed
from sluice.lake import Lake

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_ROWS_A_CALL = 500  # well below the 6 MB of a request and the 60 seconds of an answer
_SAME_AUC = 1e-3  # the job prints five decimals of an AUC over 32-bit scores


@dataclass(frozen=True)
class Probed:
    """AUC of the live endpoint on two channels of the snapshot."""

    validation_auc: float
    test_auc: float


def invoke(runtime: SageMakerRuntimeClient, endpoint: str, rows: Sequence[str]) -> list[float]:
    """The score of each row; a row is the features as CSV, a missing value an empty field.

    Raises:
        DeploymentFailed: the answer does not hold one number per row.
    """
    scores: list[float] = []
    for start in range(0, len(rows), _ROWS_A_CALL):
        some = rows[start : start + _ROWS_A_CALL]
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="text/csv", Accept="text/csv", Body="\n".join(some).encode()
        )
        text = answer["Body"].read().decode()
        try:
            answered = [float(score) for score in text.split()]
        except ValueError:
            answered = []
        if len(answered) != len(some) or not all(map(math.isfinite, answered)):
            raise DeploymentFailed(
                f"endpoint {endpoint} answered {len(some)} rows with {text[:80]!r}; it serves another kind of model: "
                f"look at what is deployed"
            )
        scores.extend(answered)
    return scores


def probe(lake: Lake, runtime: SageMakerRuntimeClient, endpoint: str, fingerprint: str, trained_auc: float) -> Probed:
    """Score the snapshot's validation rows live; their AUC must be the one that the training job reported.

    Raises:
        DeploymentFailed: it is not: another model answers.
    """
    validation_auc = _live_auc(lake, runtime, endpoint, fingerprint, "validation")
    if not math.isclose(validation_auc, trained_auc, abs_tol=_SAME_AUC):
        raise DeploymentFailed(
            f"endpoint {endpoint} reaches AUC {validation_auc:.5f} on the validation rows, its training job reported "
            f"{trained_auc:.5f}: another model answers; it was put back, look at who else deploys to this endpoint"
        )
    return Probed(validation_auc, _live_auc(lake, runtime, endpoint, fingerprint, "test"))


def _live_auc(lake: Lake, runtime: SageMakerRuntimeClient, endpoint: str, fingerprint: str, channel: Channel) -> float:
    labels, rows = zip(*_labelled_rows(lake, fingerprint, channel), strict=True)
    return auc(np.array(labels), np.array(invoke(runtime, endpoint, rows)))


def _labelled_rows(lake: Lake, fingerprint: str, channel: Channel) -> Iterator[tuple[float, str]]:
    for line in lake.get(channel_key(lake, fingerprint, channel)).decode().splitlines():
        label, _, features = line.partition(",")
        yield float(label), features


def auc(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve of labels 0 and 1: the chance that a positive scores above a negative.

    NaN where one of the two classes is absent.
    """
    ranks = pd.Series(scores).rank().to_numpy()  # ties share their mean rank
    positives = labels == 1
    n, m = int(positives.sum()), int((~positives).sum())
    return float((ranks[positives].sum() - n * (n + 1) / 2) / (n * m)) if n and m else math.nan
