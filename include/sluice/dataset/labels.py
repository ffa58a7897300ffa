"""Checks the labels of a channel, so that no job is paid for that can't learn or can't be judged (P14)."""

from __future__ import annotations

import numpy as np

from sluice.dataset.values import Numbers
from sluice.declaration.problems import MOST_LABELS
from sluice.declaration.training import Training
from sluice.errors import DeclarationError
from sluice.lake.partitions import Partition


class Labels:
    """The labels of some rows so far.

    Args:
        training: Names the label and the problem.

    Attributes:
        rows: How many there are.
        different: The different ones; if there are many, some of them.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self.rows = 0
        self.different: set[float] = set()

    def add(self, labels: Numbers, partition: Partition) -> None:
        """Add those of a partition.

        Args:
            labels: The labels, of shape ``(rows,)``.
            partition: Where they are.

        Raises:
            DeclarationError: one of them is none of the problem.
        """
        training = self._training
        values, counts = np.unique(labels, return_counts=True)
        refused = [(place, why) for place, value in enumerate(values) if (why := training.problem.refusal(value))]
        if refused:
            place, why = refused[0]
            count = sum(int(counts[place]) for place, _ in refused)
            raise DeclarationError(
                f"step {training.rows!r}: label {training.label!r} has {count} of {len(labels)} values in "
                f"{partition.key} that {training.problem} does not take, such as {values[place]:g}: {why}"
            )
        self.rows += len(labels)
        if len(self.different) < MOST_LABELS:
            self.different.update(values.tolist())

    def lacks(self, channel: str) -> str | None:
        """Return why the rows of a channel are of no use; None if they are of use.

        Args:
            channel: ``train``, ``validation`` or ``test``.
        """
        problem = self._training.problem
        if not self.rows:
            return "have no label"
        if channel == "train":
            reason = next(problem.objections(self.different), None)
            return reason and f"have a label {self._training.label!r} that {reason}"
        if problem.classifies and len(self.different) < 2:
            return "have one label only, so no model can be judged by them"
        return None
