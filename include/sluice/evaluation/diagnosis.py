"""How the answers of a model differ from the labels: its calibration, its confusion of classes, or its residuals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from sluice.declaration.problems import Binary, Count, Multiclass, Problem, Regression
from sluice.evaluation.metrics import Numbers, predicted

_TENTHS = np.arange(1, 10) / 10
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MOST_PAIRS = 400  # all of 20 classes; a verdict is read often, so it stays small


class Bin(BaseModel):
    """The rows whose answers are in one tenth of all answers. Equal answers are in one bin.

    ``answered`` is the mean of the answers, ``observed`` that of the labels, ``rows`` the number of the rows.
    """

    model_config = ConfigDict(frozen=True)

    answered: float
    observed: float
    rows: int


class Calibration(BaseModel):
    """How often the label is 1 where the model answers some probability of it."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["calibration"] = "calibration"
    bins: tuple[Bin, ...]


class Confused(BaseModel):
    """How many rows of the class ``label`` the model takes for the class ``predicted``."""

    model_config = ConfigDict(frozen=True)

    label: int
    predicted: int
    rows: int


class Confusion(BaseModel):
    """Which classes the model takes for which, the most frequent pairs first; pairs without rows are left out.

    ``left_out`` is the number of rows in the pairs beyond the first 400.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["confusion"] = "confusion"
    pairs: tuple[Confused, ...]
    left_out: int


class Residuals(BaseModel):
    """What the answers leave of the labels, ``label - answer``, in the label's unit.

    ``quantiles`` are by their share of the rows, such as ``"0.05"``.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["residuals"] = "residuals"
    mean: float
    quantiles: Mapping[str, float]
    bins: tuple[Bin, ...]


Diagnosis = Calibration | Confusion | Residuals


def diagnose(problem: Problem, labels: Numbers, answers: Numbers) -> Diagnosis | None:
    """Return how the answers of a model differ from the labels.

    Args:
        problem: What the labels mean.
        labels: Of shape ``(rows,)``, at least one.
        answers: Of shape ``(rows,)``, or ``(rows, classes)``.

    Returns:
        None if the problem has no answers that are comparable to its labels.
    """
    of_problem = _DIAGNOSES.get(type(problem))
    return of_problem and of_problem(labels, answers)


def tenths(labels: Numbers, answers: Numbers) -> tuple[Bin, ...]:
    """Return the rows in tenths of the answers, the lowest first; fewer where answers are equal.

    Args:
        labels: Of shape ``(rows,)``, at least one.
        answers: Of shape ``(rows,)``.
    """
    edges = np.unique(np.quantile(answers, _TENTHS, method="inverted_cdf"))
    bins = np.searchsorted(edges, answers)
    return tuple(
        Bin(answered=float(answers[rows].mean()), observed=float(labels[rows].mean()), rows=int(rows.sum()))
        for rows in (bins == place for place in np.unique(bins))
    )


def confusion_counts(labels: Numbers, answers: Numbers) -> Numbers:
    """Return how many rows of each class are predicted as each class, of shape ``(classes, classes)``.

    Args:
        labels: The number of a class, of shape ``(rows,)``.
        answers: A probability for each class, of shape ``(rows, classes)``.
    """
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(labels, predicted(answers), labels=np.arange(answers.shape[1])), np.float64)


def _calibration(labels: Numbers, answers: Numbers) -> Calibration:
    return Calibration(bins=tenths(labels, answers))


def _confusion(labels: Numbers, answers: Numbers) -> Confusion:
    counts = confusion_counts(labels, answers)
    found = sorted(zip(*np.nonzero(counts), strict=True), key=lambda pair: (-counts[pair], *pair))
    pairs = [Confused(label=int(pair[0]), predicted=int(pair[1]), rows=int(counts[pair])) for pair in found]
    return Confusion(pairs=tuple(pairs[:_MOST_PAIRS]), left_out=sum(pair.rows for pair in pairs[_MOST_PAIRS:]))


def _residuals(labels: Numbers, answers: Numbers) -> Residuals:
    residuals = labels - answers
    quantiles = {f"{share:g}": float(np.quantile(residuals, share)) for share in _QUANTILES}
    return Residuals(mean=float(residuals.mean()), quantiles=quantiles, bins=tenths(labels, answers))


_DIAGNOSES: Mapping[type[Problem], Callable[[Numbers, Numbers], Diagnosis]] = {
    Binary: _calibration,
    Multiclass: _confusion,
    Regression: _residuals,
    Count: _residuals,
}
