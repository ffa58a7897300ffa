"""The rows that models are judged on: their labels, their groups, and their values in the columns that slice them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sluice.dataset.channels import Channel
from sluice.dataset.snapshot import snapshot_rows
from sluice.declaration.problems import Problem
from sluice.evaluation.metrics import Groups, Numbers
from sluice.workspace import Workspace

_MISSING = "(missing)"


@dataclass(frozen=True)
class Rows:
    """Rows of one channel of a snapshot.

    ``labels`` has the shape ``(rows,)``; so have the text of each of the ``columns`` and the ``groups``: the number of
    the group of each row, or None if the problem has no groups.
    """

    labels: Numbers
    columns: Mapping[str, npt.NDArray[np.object_]] = field(default_factory=dict)
    groups: Groups | None = None

    def slices(self, fewest: int) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
        """Yield each column and each of its values, with the rows that have it.

        Args:
            fewest: Values that fewer rows have are left out.
        """
        for column, values in self.columns.items():
            for value, count in zip(*np.unique(values, return_counts=True), strict=True):
                if count >= fewest:
                    yield column, str(value), values == value


def read_rows(workspace: Workspace, fingerprint: str, channel: Channel) -> Rows:
    """Read the labels, the groups and the slicing columns of one channel.

    Args:
        workspace: The workspace of the pipeline that trains.
        fingerprint: The fingerprint of the snapshot.
        channel: ``validation`` or ``test``.

    Raises:
        MissingResource: there is no such snapshot.
    """
    training = workspace.pipeline.require_training()
    frame = snapshot_rows(workspace.lake, fingerprint, channel)
    columns = {column: _texts(frame[column]) for column in training.gate.slices}
    return Rows(frame[training.label].to_numpy(np.float64), columns, group_numbers(training.problem, frame))


def _texts(column: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """Return the values of a column as text; those that are missing are a slice as well."""
    return column.astype(str).where(column.notna(), _MISSING).to_numpy(object)


def group_numbers(problem: Problem, frame: pd.DataFrame) -> Groups | None:
    """Return the number of the group of each row, of shape ``(rows,)``; None if the problem has no groups.

    Args:
        problem: What the labels mean.
        frame: Raw rows, with the column that names their groups.
    """
    return None if problem.group_column is None else pd.factorize(frame[problem.group_column])[0]
