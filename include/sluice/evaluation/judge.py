"""Judges a trained model on the rows of its snapshot: the gate, and what its endpoint must answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sluice.dataset.snapshot import Channel, channel_key
from sluice.errors import TrainingFailed
from sluice.evaluation.metrics import METRICS, auc
from sluice.lake.store import Lake
from sluice.training.algorithms.contract import Scores, UnreadableModel, algorithm_of
from sluice.training.jobs import Job
from sluice.workspace import Workspace


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


def judge(workspace: Workspace, job: Job, fingerprint: str, channel: Channel) -> Judged:
    """Score one channel of the snapshot with the model that the job made.

    Raises:
        MissingResource: the channel or the artefact is gone.
        TrainingFailed: the artefact holds no model that can be judged.
    """
    lake, algorithm = workspace.lake, algorithm_of(workspace.pipeline.require_training().candidate)
    rows = read_rows(lake, fingerprint, channel)
    archive = lake.get(job.model_uri.removeprefix(f"s3://{lake.bucket}/"))
    try:
        return Judged(rows, algorithm.scores(archive, rows.features))
    except UnreadableModel as error:
        raise TrainingFailed(f"{job.model_uri} holds {error}") from error


def check_gate(workspace: Workspace, job: Job, fingerprint: str) -> Judged:
    """Score the validation rows with the job's model, which must reach the pipeline's gate.

    Raises:
        TrainingFailed: it does not; see also :func:`judge`.
    """
    gate, judged = workspace.pipeline.require_training().gate, judge(workspace, job, fingerprint, "validation")
    metric = METRICS[gate.metric]
    value = metric.value(judged.rows.labels, judged.scores)
    if not metric.reaches(value, gate.at_least):
        raise TrainingFailed(
            f"the model of training job {job.name} reaches {gate.metric} {value:.4f} on the validation rows, "
            f"below the gate of {gate.at_least}: nothing is deployed; look at the data or lower the gate in the "
            f"declaration"
        )
    return judged
