"""The threshold between the two classes of a binary classifier, by the criterion of the model's choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.table import Floats

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cuts:
    """The effect of each threshold.

    Attributes:
        true_positives: How many of the rows above it have label 1, by threshold.
        false_positives: How many of the rows above it have label 0, by threshold.
        positives: How many rows have label 1.
        negatives: How many rows have label 0.
    """

    true_positives: Counts
    false_positives: Counts
    positives: int
    negatives: int

    def accuracy(self) -> Counts:
        """Return the accuracy of each threshold."""
        return (self.true_positives + self.negatives - self.false_positives) / (self.positives + self.negatives)

    def precision(self) -> Counts:
        """Return the precision of each threshold."""
        return self.true_positives / np.maximum(self.true_positives + self.false_positives, 1)

    def recall(self) -> Counts:
        """Return the recall of each threshold."""
        return self.true_positives / max(self.positives, 1)

    def f_beta(self, beta: float) -> Counts:
        """Return the F-beta score of each threshold."""
        precision, recall = self.precision(), self.recall()
        denominator = beta**2 * precision + recall
        return (1 + beta**2) * precision * recall / np.where(denominator > 0, denominator, 1.0)


Criterion = Callable[[Cuts], Counts]
"""Returns the value of each threshold: the higher, the better; minus infinity for one that isn't allowed."""


def criterion_of(hyperparameters: Hyperparameters) -> Criterion | None:
    """Return the criterion of the hyperparameters; None if models are chosen by their loss."""
    beta, target_precision, target_recall = (
        hyperparameters.f_beta,
        hyperparameters.target_precision,
        hyperparameters.target_recall,
    )
    known: dict[str, Criterion] = {
        "accuracy": Cuts.accuracy,
        "f_beta": lambda cuts: cuts.f_beta(beta),
        "precision_at_target_recall": lambda cuts: _where(cuts.recall() >= target_recall, cuts.precision()),
        "recall_at_target_precision": lambda cuts: _where(cuts.precision() >= target_precision, cuts.recall()),
    }
    if hyperparameters.predictor_type != "binary_classifier":
        return None
    return known.get(hyperparameters.binary_classifier_model_selection_criteria)


def calibrate(outputs: Floats, labels: Floats, criterion: Criterion) -> tuple[float, float]:
    """Return the best threshold, and the criterion's value at it; outputs above a threshold have label 1.

    Of several equally good ones it is 0 (a probability of one half), else the nearest to 0.

    Args:
        outputs: The model's output of each row.
        labels: 0 or 1 for each row.
        criterion: What is best.
    """
    order = np.argsort(outputs)[::-1]
    ranked, hits = outputs[order].astype(np.float64), np.cumsum(labels[order] > 0.5)
    # A threshold is above all outputs, between two different ones, or below all.
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    above = np.append(0, ends + 1)
    true_positives = np.append(0, hits[ends]).astype(np.float64)
    positives = int(hits[-1])
    values = criterion(Cuts(true_positives, above - true_positives, positives, len(labels) - positives))
    best = float(values.max())
    if best == -np.inf:  # no threshold reaches the target
        return 0.0, 0.0
    low = np.append(ranked[ends], -np.inf)[values == best]
    high = np.append(np.inf, ranked[ends])[values == best]
    if np.any((low <= 0) & (high > 0)):
        return 0.0, best
    nearest = int(np.minimum(np.abs(low), np.abs(high)).argmin())
    return _between(float(low[nearest]), float(high[nearest])), best


def _between(low: float, high: float) -> float:
    if low == -np.inf:
        return float(np.nextafter(np.float32(high), np.float32(-np.inf)))
    return low if high == np.inf else (low + high) / 2


def _where(allowed: npt.NDArray[np.bool_], values: Counts) -> Counts:
    return np.where(allowed, values, -np.inf)
