"""Checks the groups of a ranking, so that no job is paid for whose rows can't be ranked or judged (P14)."""

from __future__ import annotations

import pandas as pd

from sluice.declaration.training import Training
from sluice.errors import DeclarationError
from sluice.lake.partitions import Partition


class Groups:
    """The groups of some rows so far: the partition of each, and whether there is an order to learn.

    Args:
        training: Names the label, the step and the problem. If the problem has no groups, nothing is checked.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self._places: dict[str, tuple[str, Partition]] = {}
        self._ordered: set[str] = set()

    def add(self, channel: str, partition: Partition, frame: pd.DataFrame) -> None:
        """Add those of a partition.

        Args:
            channel: The part of the split: ``train``, ``validation`` or ``test``.
            partition: Where they are.
            frame: The rows, as :class:`sluice.dataset.raw_rows.RawRows` reads them.

        Raises:
            DeclarationError: a group has rows in another partition as well.
        """
        column, label = self._training.problem.group_column, self._training.label
        if column is None:
            return
        for group in frame[column].unique():
            part, first = self._places.setdefault(group, (channel, partition))
            if first != partition:
                raise DeclarationError(
                    f"step {self._training.rows!r}: group {column}={group!r} has rows in {first.key} ({part}) and in "
                    f"{partition.key} ({channel}), and a group is ranked as a whole; write all of its rows in one "
                    f"partition, or give each partition's rows a group of their own"
                )
        if channel not in self._ordered and (frame.groupby(column)[label].nunique() > 1).any():
            self._ordered.add(channel)

    def lacks(self, channel: str) -> str | None:
        """Return why the groups of a part are of no use; None if they are of use.

        Args:
            channel: ``train``, ``validation`` or ``test``.
        """
        column = self._training.problem.group_column
        if column is None or channel in self._ordered:
            return None
        use = "is no order to learn" if channel == "train" else "is no order by which a model can be judged"
        return f"have no group of {column!r} whose rows differ in {self._training.label!r}, so there {use}"
