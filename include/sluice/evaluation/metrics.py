"""The functions of the metrics, by the names that :mod:`sluice.declaration.metrics` lists.

Each takes labels (0 or 1) and scores, both of shape ``(rows,)``, and returns NaN if the rows can't be judged.
scikit-learn measures; it takes a second to import, so only a task that judges imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def measure(metric: str, labels: Numbers, scores: Numbers) -> float:
    """Return the value of a metric.

    Args:
        metric: A name that :data:`sluice.declaration.metrics.METRICS` lists.
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        scores: One for each row, of shape ``(rows,)``.

    Returns:
        NaN if the rows can't be judged.
    """
    function: Callable[[Numbers, Numbers], float] = globals()[metric]
    return float(function(labels, scores))


def auc(labels: Numbers, scores: Numbers) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        scores: One for each row, of shape ``(rows,)``.

    Returns:
        From 0 to 1; NaN if the rows have one label only.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores)) if _has_both(labels) else math.nan


def average_precision(labels: Numbers, scores: Numbers) -> float:
    """Return the mean precision over the recalls, which is what counts where positives are rare.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        scores: One for each row, of shape ``(rows,)``.

    Returns:
        From 0 to 1; NaN if the rows have one label only.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores)) if _has_both(labels) else math.nan


def accuracy(labels: Numbers, probabilities: Numbers) -> float:
    """Return the share of rows whose label is the more probable one.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        probabilities: Of label 1, one for each row, of shape ``(rows,)``.

    Returns:
        From 0 to 1; NaN if there are no rows.
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, _predicted(probabilities))) if len(labels) else math.nan


def balanced_accuracy(labels: Numbers, probabilities: Numbers) -> float:
    """Return the mean of the accuracies on the rows of each label.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        probabilities: Of label 1, one for each row, of shape ``(rows,)``.

    Returns:
        From 0 to 1, 0.5 for guessing; NaN if the rows have one label only.
    """
    from sklearn.metrics import balanced_accuracy_score

    return float(balanced_accuracy_score(labels, _predicted(probabilities))) if _has_both(labels) else math.nan


def f1(labels: Numbers, probabilities: Numbers) -> float:
    """Return the harmonic mean of precision and recall.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        probabilities: Of label 1, one for each row, of shape ``(rows,)``.

    Returns:
        From 0 to 1; 0 if no row is predicted as 1; NaN if no row has the label 1.
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, _predicted(probabilities), zero_division=0)) if labels.any() else math.nan


def log_loss(labels: Numbers, probabilities: Numbers) -> float:
    """Return the mean of -log(probability of the label), which also judges how well the model is calibrated.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        probabilities: Of label 1, one for each row, of shape ``(rows,)``.

    Returns:
        From 0; 0.69 for guessing; NaN if there are no rows.
    """
    from sklearn.metrics import log_loss as mean_loss

    return float(mean_loss(labels, probabilities, labels=[0, 1])) if len(labels) else math.nan


def _has_both(labels: Numbers) -> bool:
    return len(np.unique(labels)) == 2


def _predicted(probabilities: Numbers) -> Numbers:
    return (probabilities >= 0.5).astype(np.float64)
