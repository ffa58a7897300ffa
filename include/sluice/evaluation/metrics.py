"""The functions of the metrics, by the names that :mod:`sluice.declaration.metrics` lists.

Each takes labels of shape ``(rows,)`` and answers of shape ``(rows,)``, or ``(rows, classes)`` for a problem of several
classes, and returns NaN if the rows can't be judged. scikit-learn measures; it takes a second to import, so only a task
that judges imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Groups = npt.NDArray[np.intp]


def measure(metric: str, labels: Numbers, answers: Numbers, groups: Groups | None = None) -> float:
    """Return the value of a metric; for a problem with groups, its mean over those that can be judged.

    Args:
        metric: A name that :data:`sluice.declaration.metrics.METRICS` lists.
        labels: One for each row, of shape ``(rows,)``.
        answers: Of shape ``(rows,)`` or ``(rows, classes)``.
        groups: The number of the group of each row, of shape ``(rows,)``; None if the problem has no groups.

    Returns:
        NaN if the rows can't be judged.
    """
    if groups is not None:
        return mean(each_group(metric, labels, answers, groups))
    function: Callable[[Numbers, Numbers], float] = globals()[metric]
    return float(function(labels, answers)) if len(labels) else math.nan


def each_group(metric: str, labels: Numbers, answers: Numbers, groups: Groups) -> Numbers:
    """Return the value of a metric on the rows of each group.

    Args:
        metric: A name that :data:`sluice.declaration.metrics.METRICS` lists.
        labels: One for each row, of shape ``(rows,)``.
        answers: Of shape ``(rows,)``.
        groups: The number of the group of each row, of shape ``(rows,)``.

    Returns:
        The shape ``(groups,)``, in the order of the numbers; NaN for a group that can't be judged.
    """
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    parts = np.split(order, ends) if len(order) else []
    return np.array([measure(metric, labels[rows], answers[rows]) for rows in parts], dtype=np.float64)


def mean(values: Numbers) -> float:
    """Return the mean of those values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def auc(labels: Numbers, scores: Numbers) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative.

    Args:
        labels: 0 or 1.
        scores: Higher for a more probable 1.

    Returns:
        From 0 to 1; NaN if the rows have one label only.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores)) if _is_mixed(labels) else math.nan


def average_precision(labels: Numbers, scores: Numbers) -> float:
    """Return the mean precision over the recalls, which is what counts where positives are rare.

    Args:
        labels: 0 or 1.
        scores: Higher for a more probable 1.

    Returns:
        From 0 to 1; NaN if the rows have one label only.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores)) if _is_mixed(labels) else math.nan


def log_loss(labels: Numbers, probabilities: Numbers) -> float:
    """Return the mean of -log(probability of the label), which also judges how well the model is calibrated.

    Args:
        labels: 0 or 1.
        probabilities: Of label 1.

    Returns:
        From 0; 0.69 for guessing.
    """
    from sklearn.metrics import log_loss as mean_loss

    return float(mean_loss(labels, probabilities, labels=[0, 1]))


def multiclass_log_loss(labels: Numbers, probabilities: Numbers) -> float:
    """Return the mean of -log(probability of the label's class).

    Args:
        labels: The number of a class, from 0.
        probabilities: One for each class.

    Returns:
        From 0; log(classes) for guessing.
    """
    from sklearn.metrics import log_loss as mean_loss

    # 32-bit probabilities do not add up to 1 exactly, and scikit-learn warns of it.
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    return float(mean_loss(labels, shares, labels=np.arange(probabilities.shape[1])))


def accuracy(labels: Numbers, probabilities: Numbers) -> float:
    """Return the share of rows whose label is the most probable one.

    Args:
        labels: 0 or 1, or the number of a class.
        probabilities: Of label 1, or one for each class.

    Returns:
        From 0 to 1.
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predicted(probabilities)))


def balanced_accuracy(labels: Numbers, probabilities: Numbers) -> float:
    """Return the mean of the accuracies on the rows of each label.

    Args:
        labels: 0 or 1, or the number of a class.
        probabilities: Of label 1, or one for each class.

    Returns:
        From 0 to 1, 0.5 for guessing between two; NaN if the rows have one label only.
    """
    from sklearn.metrics import recall_score

    if not _is_mixed(labels):
        return math.nan
    found = recall_score(labels, predicted(probabilities), labels=np.unique(labels), average="macro", zero_division=0)
    return float(found)


def f1(labels: Numbers, probabilities: Numbers) -> float:
    """Return the harmonic mean of precision and recall.

    Args:
        labels: 0 or 1.
        probabilities: Of label 1.

    Returns:
        From 0 to 1; 0 if no row is predicted as 1; NaN if no row has the label 1.
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted(probabilities), zero_division=0)) if labels.any() else math.nan


def f1_macro(labels: Numbers, probabilities: Numbers) -> float:
    """Return the mean of the F1 of each class that has a row.

    Args:
        labels: The number of a class, from 0.
        probabilities: One for each class.

    Returns:
        From 0 to 1.
    """
    from sklearn.metrics import f1_score

    classes = np.unique(labels)
    return float(f1_score(labels, predicted(probabilities), labels=classes, average="macro", zero_division=0))


def rmse(labels: Numbers, values: Numbers) -> float:
    """Return the root of the mean squared error, in the unit of the label.

    Args:
        labels: Any numbers.
        values: The expected ones.
    """
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(labels, values))


def mae(labels: Numbers, values: Numbers) -> float:
    """Return the mean absolute error, in the unit of the label.

    Args:
        labels: Any numbers.
        values: The expected ones.
    """
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(labels, values))


def r2(labels: Numbers, values: Numbers) -> float:
    """Return the share of the labels' variance that the model explains.

    Args:
        labels: Any numbers.
        values: The expected ones.

    Returns:
        At most 1; 0 for answering the mean; NaN if all labels are equal.
    """
    from sklearn.metrics import r2_score

    return float(r2_score(labels, values)) if _is_mixed(labels) else math.nan


def poisson_deviance(labels: Numbers, values: Numbers) -> float:
    """Return the mean deviance of a Poisson distribution.

    Args:
        labels: Counts, or other numbers from 0.
        values: The expected ones.

    Returns:
        From 0; NaN if an expected value is not above 0.
    """
    from sklearn.metrics import mean_poisson_deviance

    return float(mean_poisson_deviance(labels, values)) if (values > 0).all() else math.nan


def ndcg(labels: Numbers, scores: Numbers) -> float:
    """Return the normalized discounted cumulative gain of one group's rows, in the order of their scores.

    The gain of a row is ``2 ** relevance - 1``, as XGBoost computes it (Burges et al., "Learning to Rank Using Gradient
    Descent", 2005), divided by ``log2(place + 1)``, and the sum by that of the best order. Rows of one score count as
    if in each order.

    Args:
        labels: The relevance of each row, from 0.
        scores: Higher for a row that comes earlier.

    Returns:
        From 0 to 1; NaN if all rows have one relevance, so that each order is as good as any other.
    """
    from sklearn.metrics import ndcg_score

    return float(ndcg_score([2**labels - 1], [scores])) if _is_mixed(labels) else math.nan


def predicted(probabilities: Numbers) -> Numbers:
    """Return the most probable label of each row, of shape ``(rows,)``; from a probability of 0.5 on it is 1."""
    if probabilities.ndim == 2:
        return np.asarray(np.argmax(probabilities, axis=1), dtype=np.float64)
    return np.asarray(probabilities >= 0.5, dtype=np.float64)


def _is_mixed(labels: Numbers) -> bool:
    return len(np.unique(labels)) > 1
