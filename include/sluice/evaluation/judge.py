"""Judges a trained model on the rows of its snapshot: by the gate, and for the scores that its endpoint must give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sluice.dataset.snapshot import Channel, channel_key
from sluice.declaration.metrics import METRICS
from sluice.errors import TrainingFailed
from sluice.evaluation.metrics import measure
from sluice.lake.store import Lake
from sluice.training.algorithms.contract import Scores, UnreadableModel, algorithm_of
from sluice.training.jobs import Job
from sluice.workspace import Workspace


@dataclass(frozen=True)
class Rows:
    """The rows of one channel of a snapshot.

    ``labels`` has the shape ``(rows,)``. ``features`` has one line of CSV for each row.
    """

    labels: npt.NDArray[np.float64]
    features: tuple[str, ...]


def _rows(lake: Lake, fingerprint: str, channel: Channel) -> Rows:
    lines = lake.get(channel_key(lake, fingerprint, channel)).decode().splitlines()
    cells = [line.partition(",") for line in lines]
    return Rows(np.array([float(label) for label, _, _ in cells]), tuple(features for _, _, features in cells))


@dataclass(frozen=True)
class Judged:
    """The rows of one channel with the scores of a job's artefact, one for each row."""

    rows: Rows
    scores: Scores

    def value(self, metric: str) -> float:
        """Return the value of a metric for the scores; NaN if the rows can't be judged by it."""
        return measure(metric, self.rows.labels, self.scores)


def judge(workspace: Workspace, job: Job, fingerprint: str, channel: Channel) -> Judged:
    """Score one channel of a snapshot with the model that a job has made.

    Args:
        workspace: The workspace of the pipeline that trained.
        job: A completed job.
        fingerprint: The fingerprint of the snapshot that the job was trained on.
        channel: ``train``, ``validation`` or ``test``.

    Raises:
        MissingResource: the channel or the artefact does not exist.
        TrainingFailed: the artefact holds no model that can be judged.
    """
    lake, algorithm = workspace.lake, algorithm_of(workspace.pipeline.require_training().candidate)
    rows = _rows(lake, fingerprint, channel)
    archive = lake.get(job.model_uri.removeprefix(f"s3://{lake.bucket}/"))
    try:
        return Judged(rows, algorithm.scores(archive, rows.features))
    except UnreadableModel as error:
        raise TrainingFailed(f"{job.model_uri} holds {error}") from error


def check_gate(workspace: Workspace, job: Job, fingerprint: str) -> Judged:
    """Score the validation rows with a job's model, and require that it reaches the pipeline's gate.

    Args:
        workspace: The workspace of the pipeline that trained.
        job: A completed job.
        fingerprint: The fingerprint of the snapshot that the job was trained on.

    Returns:
        The validation rows with their scores.

    Raises:
        TrainingFailed: the model does not reach the gate, or can't be judged.
        MissingResource: the validation rows or the artefact do not exist.
    """
    gate, judged = workspace.pipeline.require_training().gate, judge(workspace, job, fingerprint, "validation")
    value = judged.value(gate.metric)
    if not METRICS[gate.metric].reaches(value, gate.bound):
        raise TrainingFailed(
            f"the model of training job {job.name} has {gate.metric} {value:.4f} on the validation rows, and the gate "
            f"is at {gate.bound}: nothing is deployed; look at the data, or move the gate in the declaration"
        )
    return judged
