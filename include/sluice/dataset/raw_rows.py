"""Reads the rows of a step for a training: the label, the features and the slices, each of one type everywhere.

What a training job would fail on, or silently learn wrongly, is refused in one line, before a job is paid for (P14).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sluice.dataset.values import Numbers, Unreadable, categories, is_whole, numbers
from sluice.declaration.features import Category
from sluice.declaration.training import Training
from sluice.errors import DeclarationError
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.steps.frames import to_frame
from sluice.steps.reading import read_output

_AHEAD = 8  # partitions in memory


def read_rows(lake: Lake, dataset: str, partitions: Sequence[Partition]) -> Iterator[pd.DataFrame]:
    """Yield the rows of each partition as the step wrote them, one DataFrame a partition.

    Args:
        lake: The lake to read.
        dataset: The name of the step that wrote the rows.
        partitions: The partitions; those that were never written are left out.
    """
    for partition in partitions:
        manifest = lake.manifest(dataset, partition)
        if manifest is not None:
            yield _frame(lake, manifest)


def _frame(lake: Lake, manifest: Manifest) -> pd.DataFrame:
    return to_frame([read_output(lake, file) for file in manifest.files])


@dataclass(frozen=True)
class RawRows:
    """The rows of a training's step, as the encodings, the metrics and the slices need them.

    Each frame has the label and the numbers as float64, the categories and the groups of a ranking as the texts that
    name them, and the other columns of the slices as text. Rows without a label are left out. The rows of one group
    come one after the other, in their own order, at the place of the first.

    Args:
        lake: The lake to read.
        training: Names the step, the label, the features and the slices.
    """

    lake: Lake
    training: Training
    _whole: dict[str, tuple[bool, Partition]] = field(default_factory=dict)

    @property
    def slices(self) -> tuple[str, ...]:
        """The columns of the slices that are neither the label nor the group nor a feature."""
        others = {
            self.training.label,
            self.training.problem.group_column,
            *(each.name for each in self.training.inputs),
        }
        return tuple(name for name in self.training.gate.slices if name not in others)

    def read(self, manifests: Sequence[Manifest]) -> Iterator[tuple[Partition, pd.DataFrame]]:
        """Yield each partition with its rows. Memory holds a few partitions, however many there are.

        Args:
            manifests: Those of the partitions.

        Raises:
            DeclarationError: a column is missing, or holds values that the training does not take.
        """
        with ThreadPoolExecutor(4) as pool:
            for start in range(0, len(manifests), _AHEAD):
                some = manifests[start : start + _AHEAD]
                for manifest, frame in zip(some, pool.map(partial(_frame, self.lake), some), strict=True):
                    partition = manifest.time_partition(self.lake.calendar)
                    yield partition, self._taken(frame, partition)

    def is_whole(self, name: str) -> bool:
        """Return whether a category holds whole numbers and truth values, as far as was read."""
        return self._whole[name][0] if name in self._whole else False

    def _taken(self, frame: pd.DataFrame, partition: Partition) -> pd.DataFrame:
        training = self.training
        self._check_columns(frame, partition)
        with_label = frame.loc[frame[training.label].notna()]
        columns: dict[str, Any] = {training.label: self._numbers(with_label, training.label, partition)}
        for feature in training.inputs:
            take = self._categories if isinstance(feature, Category) else self._numbers
            columns[feature.name] = take(with_label, feature.name, partition)
        columns |= {name: _slice(with_label[name]) for name in self.slices}
        group = training.problem.group_column
        if group is None:
            return pd.DataFrame(columns)
        columns[group] = self._groups(with_label, group, partition)
        places, _ = pd.factorize(columns[group])
        return pd.DataFrame(columns).iloc[np.argsort(places, kind="stable")].reset_index(drop=True)

    def _check_columns(self, frame: pd.DataFrame, partition: Partition) -> None:
        training = self.training
        group = training.problem.group_column
        inputs = [each.name for each in training.inputs]
        wanted = (training.label, *([group] if group else []), *inputs, *training.gate.slices)
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise DeclarationError(
                f"step {training.rows!r} writes no column {', '.join(missing)} in {partition.key}, which training "
                f"declares; write it in the step, or correct the declaration"
            )

    def _numbers(self, rows: pd.DataFrame, name: str, partition: Partition) -> Numbers:
        try:
            return numbers(rows[name])
        except Unreadable as error:
            action = "make it a number in the step"
            if isinstance(error.example, float):
                action = "leave out such rows or values in the step"
            elif name != self.training.label:
                action += f", or declare it as Category({name!r})"
            raise self._refused(rows, name, partition, error, action) from error

    def _categories(self, rows: pd.DataFrame, name: str, partition: Partition) -> pd.Series[Any]:
        column = rows[name]
        whole = is_whole(column)
        try:
            found = pd.Series(categories(column, whole=whole is True), dtype=object)
        except Unreadable as error:
            raise self._refused(rows, name, partition, error, "write it so in the step") from error
        if whole is None:
            return found
        before, first = self._whole.setdefault(name, (whole, partition))
        if before != whole:
            kinds = {True: "numbers", False: "text"}
            raise DeclarationError(
                f"step {self.training.rows!r} writes {name!r} as {kinds[whole]} in {partition.key}, and as "
                f"{kinds[before]} in {first.key}; make it one of the two in the step"
            )
        return found

    def _groups(self, rows: pd.DataFrame, name: str, partition: Partition) -> pd.Series[Any]:
        groups = self._categories(rows, name, partition)
        missing = int(groups.isna().sum())
        if missing:
            raise DeclarationError(
                f"step {self.training.rows!r}: group {name!r} is missing in {missing} of {len(rows)} rows in "
                f"{partition.key}; write it in the step, or leave out such rows"
            )
        return groups

    def _refused(
        self, rows: pd.DataFrame, name: str, partition: Partition, error: Unreadable, action: str
    ) -> DeclarationError:
        what = {self.training.label: "label", self.training.problem.group_column: "group"}.get(name, "feature")
        return DeclarationError(
            f"step {self.training.rows!r}: {what} {name!r} has {error.count} of {len(rows)} values in {partition.key} "
            f"that are not {error.expected}, such as {error.example!r}; {action}"
        )


def _slice(column: pd.Series[Any]) -> pd.Series[Any]:
    texts = [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    return pd.Series(texts, dtype=object)
