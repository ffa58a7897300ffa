"""The rows on which a live model is judged: those of the newest partitions that came after its training data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sluice.dataset.labels import Labels
from sluice.dataset.raw_rows import read_rows
from sluice.dataset.values import numbers
from sluice.declaration.training import Training
from sluice.errors import DeclarationError
from sluice.evaluation.metrics import Groups
from sluice.evaluation.metrics import Numbers as Labelled
from sluice.evaluation.rows import group_numbers
from sluice.lake.partitions import Partition, of_path
from sluice.workspace import Workspace

_MOST_ROWS = 5_000


@dataclass(frozen=True)
class Window:
    """The rows of some partitions, at most 5,000 of each kind, evenly spread.

    ``partitions`` have ``rows`` rows. ``features`` are raw rows, with and without an outcome; ``judged`` are those that
    have one, and ``labels`` are their outcomes, of shape ``(len(judged),)``. ``groups`` has the number of the group of
    each of these, whose groups are whole; None if the problem has no groups.
    """

    partitions: tuple[Partition, ...]
    rows: int
    features: pd.DataFrame
    judged: pd.DataFrame
    labels: Labelled
    groups: Groups | None = None


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
    newer = {of_path(key.removeprefix(folder), pipeline.calendar) for key in keys}
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
        DeclarationError: the rows have no label or group column, or a label that the problem does not have.
        Unreadable: a label is no number.
    """
    training = workspace.pipeline.require_training()
    group = training.problem.group_column
    columns, labels = {*features, training.label, group}, Labels(training)
    every, judged = _Spread(), _Spread()
    frames = read_rows(workspace.lake, training.rows, partitions)
    for partition, frame in zip(partitions, frames, strict=True):
        _check_columns(training, frame, partition)
        rows = frame[[name for name in frame.columns if name in columns]]
        outcomes = numbers(rows[training.label])
        known = ~np.isnan(outcomes)
        if group is not None:
            known &= rows[group].notna().to_numpy()
        labels.add(outcomes[known], partition)
        every.add(rows)
        judged.add(rows[known], group_numbers(training.problem, rows[known]))
    with_outcome = judged.rows()
    return Window(
        partitions=tuple(partitions),
        rows=every.seen,
        features=every.rows(),
        judged=with_outcome,
        labels=numbers(with_outcome[training.label]) if len(with_outcome) else np.empty(0),
        groups=group_numbers(training.problem, with_outcome) if len(with_outcome) else None,
    )


def _check_columns(training: Training, frame: pd.DataFrame, partition: Partition) -> None:
    for name, role in ((training.label, "label"), (training.problem.group_column, "group")):
        if name is not None and name not in frame.columns:
            raise DeclarationError(
                f"step {training.rows!r} writes no column {name} in {partition.key}, which training declares as its "
                f"{role}; write it in the step, or correct the declaration"
            )


class _Spread:
    """Every row or group, or every second, fourth and so on: as few as needed to have at most 5,000 rows.

    The first group is kept, however many rows it has.
    """

    def __init__(self) -> None:
        self.seen, self._units, self._step = 0, 0, 1
        self._frames: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame, groups: Groups | None = None) -> None:
        """Add the rows of a partition.

        Args:
            frame: The rows.
            groups: The number of the group of each; None: each row is kept or left out by itself.
        """
        units = np.arange(len(frame)) if groups is None else groups
        numbered = frame.set_axis(units + self._units)
        self._units += int(units.max(initial=-1)) + 1
        self.seen += len(frame)
        self._frames.append(self._kept(numbered))
        while sum(map(len, self._frames)) > _MOST_ROWS and self._step < self._units:
            self._step *= 2
            self._frames = [self._kept(each) for each in self._frames]

    def _kept(self, numbered: pd.DataFrame) -> pd.DataFrame:
        kept: pd.DataFrame = numbered[numbered.index.to_numpy() % self._step == 0]
        return kept

    def rows(self) -> pd.DataFrame:
        return pd.concat(self._frames, ignore_index=True) if self._frames else pd.DataFrame()
