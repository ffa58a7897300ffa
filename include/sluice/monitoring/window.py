"""The rows on which a live model is judged: those of the newest partitions that came after its training data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sluice.dataset.labels import Labels
from sluice.dataset.raw_rows import read_rows
from sluice.dataset.values import Numbers, numbers
from sluice.declaration.training import Training
from sluice.errors import DeclarationError
from sluice.evaluation.metrics import Numbers as Labelled
from sluice.lake.partitions import Partition, of_path
from sluice.workspace import Workspace

_MOST_ROWS = 5_000


@dataclass(frozen=True)
class Window:
    """The rows of some partitions, at most 5,000 of each kind, evenly spread.

    ``partitions`` have ``rows`` rows. ``features`` are raw rows, with and without an outcome; ``judged`` are those that
    have one, and ``labels`` are their outcomes, of shape ``(len(judged),)``.
    """

    partitions: tuple[Partition, ...]
    rows: int
    features: pd.DataFrame
    judged: pd.DataFrame
    labels: Labelled


def newest_partitions(workspace: Workspace, last: Partition) -> list[Partition]:
    """Return the newest closed partitions with rows of the training's step, as many as are watched, oldest first.

    What was trained on is not listed, and only manifests of the window are read.

    Args:
        workspace: The workspace of a pipeline that watches its model.
        last: The last partition that the model was trained on.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    dataset, most, found = pipeline.require_training().rows, pipeline.require_monitoring().window, list[Partition]()
    folder = lake.layout.dataset(dataset)
    keys = (key for key, _, _ in lake.objects(folder, after=lake.layout.partition(dataset, last.shift(1))))
    newer = {of_path(key.removeprefix(folder), pipeline.every) for key in keys}
    for partition in sorted((each for each in newer if each is not None), reverse=True):
        manifest = lake.manifest(dataset, partition)
        if manifest is not None and manifest.state == "closed" and manifest.rows_out:
            found.append(partition)
        if len(found) == most:
            break
    return found[::-1]


def read_window(workspace: Workspace, partitions: Sequence[Partition], features: Collection[str]) -> Window:
    """Read the rows of some partitions, one partition at a time.

    Args:
        workspace: The workspace of a pipeline that watches its model.
        partitions: The partitions.
        features: The columns that the model takes.

    Raises:
        DeclarationError: the rows have no label column, or a label that the problem does not have.
        Unreadable: a label is no number.
    """
    training = workspace.pipeline.require_training()
    columns, labels = {*features, training.label}, Labels(training)
    every, judged = _Spread(), _Spread()
    frames = read_rows(workspace.lake, training.rows, partitions)
    for partition, frame in zip(partitions, frames, strict=True):
        rows = frame[[name for name in frame.columns if name in columns]]
        outcomes = _outcomes(training, rows, partition)
        known = ~np.isnan(outcomes)
        labels.add(outcomes[known], partition)
        every.add(rows)
        judged.add(rows[known])
    with_outcome = judged.rows()
    return Window(
        partitions=tuple(partitions),
        rows=every.seen,
        features=every.rows(),
        judged=with_outcome,
        labels=numbers(with_outcome[training.label]) if len(with_outcome) else np.empty(0),
    )


def _outcomes(training: Training, rows: pd.DataFrame, partition: Partition) -> Numbers:
    if training.label not in rows.columns:
        raise DeclarationError(
            f"step {training.rows!r} writes no column {training.label} in {partition.key}, which training declares as "
            f"its label; write it in the step, or correct the declaration"
        )
    return numbers(rows[training.label])


class _Spread:
    """Every row, or every second, fourth and so on: as few as needed to have at most 5,000."""

    def __init__(self) -> None:
        self.seen, self._step = 0, 1
        self._frames: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame) -> None:
        numbered = frame.set_axis(range(self.seen, self.seen + len(frame)))
        self.seen += len(frame)
        self._frames.append(self._kept(numbered))
        while sum(map(len, self._frames)) > _MOST_ROWS:
            self._step *= 2
            self._frames = [self._kept(each) for each in self._frames]

    def _kept(self, numbered: pd.DataFrame) -> pd.DataFrame:
        kept: pd.DataFrame = numbered[numbered.index.to_numpy() % self._step == 0]
        return kept

    def rows(self) -> pd.DataFrame:
        return pd.concat(self._frames, ignore_index=True) if self._frames else pd.DataFrame()
