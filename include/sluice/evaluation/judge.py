"""Judges a trained model on the rows of its snapshot: the gate, and what its endpoint must answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from sluice.dataset.snapshot import Channel, channel_key
from sluice.declaration.training import Gate
from sluice.errors import TrainingFailed
from sluice.evaluation.artefact import Scores, artefact_scores
from sluice.lake.store import Lake
from sluice.training.jobs import Job


@dataclass(frozen=True)
class Rows:
    """The rows of one channel of a snapshot: labels, and features as CSV."""

    labels: npt.NDArray[np.float64]
    features: tuple[str, ...]


def read_rows(lake: Lake, fingerprint: str, channel: Channel) -> Rows:
    """The rows of one channel of a snapshot.

    Raises:
        MissingResource: the snapshot has no such channel.
    """
    lines = lake.get(channel_key(lake, fingerprint, channel)).decode().splitlines()
    cells = [line.partition(",") for line in lines]
    return Rows(np.array([float(label) for label, _, _ in cells]), tuple(features for _, _, features in cells))


@dataclass(frozen=True)
class Judged:
    """The rows of one channel with the scores of a job's artefact."""

    rows: Rows
    scores: Scores

    @property
    def auc(self) -> float:
        return auc(self.rows.labels, self.scores)


def judge(lake: Lake, job: Job, fingerprint: str, channel: Channel) -> Judged:
    """Score one channel of the snapshot with the model that the job made.

    Raises:
        MissingResource: the channel or the artefact is gone.
        TrainingFailed: the artefact holds no model that can be judged.
    """
    rows = read_rows(lake, fingerprint, channel)
    return Judged(rows, artefact_scores(lake, job.model_uri, rows.features))


def check_gate(lake: Lake, job: Job, fingerprint: str, gate: Gate) -> Judged:
    """Score the validation rows with the job's model, which must reach the gate.

    Raises:
        TrainingFailed: it does not; see also :func:`judge`.
    """
    judged = judge(lake, job, fingerprint, "validation")
    if not judged.auc >= gate.at_least:  # so that NaN does not pass
        raise TrainingFailed(
            f"the model of training job {job.name} reaches {gate.metric} {judged.auc:.4f} on the validation rows, "
            f"below the gate of {gate.at_least}: nothing is deployed; look at the data or lower the gate in the "
            f"declaration"
        )
    return judged


def auc(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve of labels 0 and 1: the chance that a positive scores above a negative.

    NaN where one of the two classes is absent.
    """
    ranks = pd.Series(scores).rank().to_numpy()  # ties share their mean rank
    positives = labels == 1
    n, m = int(positives.sum()), int((~positives).sum())
    return float((ranks[positives].sum() - n * (n + 1) / 2) / (n * m)) if n and m else math.nan
