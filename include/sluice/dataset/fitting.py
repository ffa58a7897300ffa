"""Fits the encoding of the features on the train rows, in one pass whose memory does not grow with the rows."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import Any

import numpy as np
import pandas as pd
from typing_extensions import override

from sluice.dataset.encodings import (
    AnyEncoding,
    Encoding,
    NumberEncoding,
    OneHotEncoding,
    OrdinalEncoding,
    Raw,
    TargetMeanEncoding,
)
from sluice.dataset.raw_rows import RawRows
from sluice.dataset.values import Numbers
from sluice.declaration.features import Category, Number
from sluice.errors import DeclarationError, NotEnoughData

FOLDS = 5  # a train partition is in the fold of its place, modulo this
_MOST_VALUES = 100_000
_PRIOR_ROWS = 20  # a target mean counts as many rows of the mean of all
_log = logging.getLogger(__name__)


class Fitting:
    """What is known of the train rows so far.

    Args:
        rows: The rows that are read; they know the types of the columns.
    """

    def __init__(self, rows: RawRows) -> None:
        self._rows = rows
        self._features = {each.name: _FITS[each.kind](each) for each in rows.training.inputs}

    def add(self, frame: pd.DataFrame, fold: int) -> None:
        """Add the rows of a partition.

        Args:
            frame: The rows, as :class:`RawRows` reads them.
            fold: The fold of the partition, below :data:`FOLDS`.

        Raises:
            DeclarationError: a category has too many values.
        """
        labels = frame[self._rows.training.label].to_numpy()
        for name, fit in self._features.items():
            fit.add(frame[name], labels, fold)

    def encoding(self, without: int | None = None) -> Encoding:
        """Return the encoding that fits the rows.

        Args:
            without: The fold whose labels are left out. Its own rows get this encoding: otherwise the mean of a
                category with few rows would tell the model their labels. None: no fold is left out.

        Raises:
            NotEnoughData: a feature needs the labels of other folds, and there are none.
        """
        return Encoding(
            columns=tuple(fit.encoding(self._rows.is_whole(name), without) for name, fit in self._features.items())
        )


class _Fit(ABC):
    """What is known of one feature."""

    @abstractmethod
    def add(self, column: pd.Series[Any], labels: Numbers, fold: int) -> None:
        """Add the values of a partition.

        Args:
            column: The values, of shape ``(rows,)``.
            labels: Their labels, of the same shape.
            fold: The fold of the partition.
        """

    @abstractmethod
    def encoding(self, whole: bool, without: int | None) -> AnyEncoding:
        """Return the encoding that fits.

        Args:
            whole: Whether the values are whole numbers and truth values, not text.
            without: The fold whose labels are left out; None for none.
        """


class _NumberFit(_Fit):
    def __init__(self, declared: Number) -> None:
        self._declared = declared
        self._sums: list[float] = []
        self._rows = 0

    @override
    def add(self, column: pd.Series[Any], labels: Numbers, fold: int) -> None:
        values: Raw = column.dropna().to_numpy()
        self._sums.append(fsum(values))  # exact, so that every processor finds the same mean
        self._rows += len(values)

    @override
    def encoding(self, whole: bool, without: int | None) -> AnyEncoding:
        return NumberEncoding(feature=self._declared.name, fill=self._fill(warns=without is None))

    def _fill(self, *, warns: bool) -> float:
        if self._declared.fill is not None:
            return self._declared.fill
        if not self._rows and warns:
            _log.warning("feature %s is missing in every train row: 0 stands for it", self._declared.name)
        return fsum(self._sums) / max(1, self._rows)


class _CategoryFit(_Fit):
    """Counts the rows of each category, and adds up their labels, in each fold."""

    def __init__(self, declared: Category) -> None:
        self._declared = declared
        self._rows = np.zeros(FOLDS)
        self._labels = np.zeros(FOLDS)
        self._counts: dict[str, Raw] = {}  # rows and labels by fold, of shape (2, FOLDS)

    @override
    def add(self, column: pd.Series[Any], labels: Numbers, fold: int) -> None:
        codes, values = pd.factorize(column)
        present = codes >= 0
        self._rows[fold] += len(column)
        self._labels[fold] += fsum(labels)
        of_rows = np.bincount(codes[present], minlength=len(values))
        of_labels = np.bincount(codes[present], labels[present], len(values))
        for value, rows, total in zip(values, of_rows, of_labels, strict=True):
            self._counts.setdefault(value, np.zeros((2, FOLDS)))[:, fold] += rows, total
        if len(self._counts) > _MOST_VALUES:
            raise DeclarationError(
                f"feature {self._declared.name} has more than {_MOST_VALUES:,} values in the train rows, so it is no "
                f"category; group them in the step, or leave it out"
            )

    @override
    def encoding(self, whole: bool, without: int | None) -> AnyEncoding:
        name, own = self._declared.name, self._own_values(whole)
        match self._declared.encoding:
            case "one_hot":
                return OneHotEncoding(feature=name, whole=whole, values=own)
            case "ordinal":
                return OrdinalEncoding(feature=name, whole=whole, values=own)
            case "target_mean":
                means, other = self._means(own, np.arange(FOLDS) != without)
                return TargetMeanEncoding(feature=name, whole=whole, values=own, means=means, other=other)

    def _own_values(self, whole: bool) -> tuple[str, ...]:
        total, least = self._rows.sum(), self._declared.at_least
        own = [value for value, (rows, _) in self._counts.items() if rows.sum() / total >= least]
        return tuple(sorted(own, key=int if whole else None))

    def _means(self, own: Sequence[str], kept: Raw) -> tuple[tuple[float, ...], float]:
        """Return the mean of each of these values and that of all others, in the folds that are kept."""
        if not self._rows[kept].sum():
            raise NotEnoughData(
                f"feature {self._declared.name}: the target mean needs the labels of two train partitions or more; run "
                f"the transform on more"
            )
        mean = self._labels[kept].sum() / self._rows[kept].sum()
        taken = set(own)
        sums = {value: counts[:, kept].sum(axis=1) for value, counts in self._counts.items()}
        others = sum((each for value, each in sums.items() if value not in taken), np.zeros(2))
        drawn = [
            float((labels + _PRIOR_ROWS * mean) / (rows + _PRIOR_ROWS))
            for rows, labels in [*(sums[value] for value in own), others]
        ]
        return tuple(drawn[:-1]), drawn[-1]


_FITS: Mapping[str, Callable[[Any], _Fit]] = {Number.kind: _NumberFit, Category.kind: _CategoryFit}
