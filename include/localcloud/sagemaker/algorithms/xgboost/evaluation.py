"""The metrics that the container computes itself, beside those of the library.

Unlike the recorded container, which takes the probabilities that XGBoost 3 passes for log-odds and so gets
every label metric wrong, these are right: a probability counts as the positive label above one half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

Array = npt.NDArray[Any]  # float32, as the library gives labels and predictions
Metric = Callable[[Array, Array], float]


def custom_metric(names: Sequence[str]) -> Callable[[Array, xgboost.DMatrix], list[tuple[str, float]]]:
    """What ``xgboost.train`` takes as custom_metric, for the named metrics."""

    def evaluate(predictions: Array, matrix: xgboost.DMatrix) -> list[tuple[str, float]]:
        return [(name, METRICS[name](matrix.get_label(), predictions)) for name in names]

    return evaluate


def _labels_of(scores: Array) -> Array:
    return scores.argmax(axis=1).astype(np.float64) if scores.ndim == 2 else (scores > 0.5).astype(np.float64)


def _counts(labels: Array, scores: Array) -> tuple[Array, Array, Array, Array]:
    """Per class, in order: true positives, predicted, actual; and the classes."""
    predicted = _labels_of(scores)
    classes = np.union1d(labels, predicted)
    hits = np.array([np.sum((predicted == each) & (labels == each)) for each in classes], dtype=np.float64)
    claimed = np.array([np.sum(predicted == each) for each in classes], dtype=np.float64)
    actual = np.array([np.sum(labels == each) for each in classes], dtype=np.float64)
    return hits, claimed, actual, classes


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _precisions(labels: Array, scores: Array) -> tuple[Array, Array]:
    hits, claimed, _, classes = _counts(labels, scores)
    return _ratio(hits, claimed), classes


def _recalls(labels: Array, scores: Array) -> tuple[Array, Array]:
    hits, _, actual, classes = _counts(labels, scores)
    return _ratio(hits, actual), classes


def _f1s(labels: Array, scores: Array) -> tuple[Array, Array]:
    hits, claimed, actual, classes = _counts(labels, scores)
    return _ratio(2 * hits, claimed + actual), classes


def _accuracy(labels: Array, scores: Array) -> float:
    return float(np.mean(_labels_of(scores) == labels))


def _balanced_accuracy(labels: Array, scores: Array) -> float:
    recalls, classes = _recalls(labels, scores)
    return float(np.mean(recalls[np.isin(classes, labels)]))


def _macro(per_class: Callable[[Array, Array], tuple[Array, Array]]) -> Metric:
    return lambda labels, scores: float(np.mean(per_class(labels, scores)[0]))


def _positive(per_class: Callable[[Array, Array], tuple[Array, Array]]) -> Metric:
    def of_class_one(labels: Array, scores: Array) -> float:
        values, classes = per_class(labels, scores)
        if not np.isin(classes, (0.0, 1.0)).all():
            raise ValueError("Target is multiclass but average='binary'")
        return float(values[classes == 1.0].sum())

    return of_class_one


def _mae(labels: Array, scores: Array) -> float:
    return float(np.mean(np.abs(labels - scores)))


def _mse(labels: Array, scores: Array) -> float:
    return float(np.mean((labels - scores) ** 2))


def _rmse(labels: Array, scores: Array) -> float:
    return float(np.sqrt(_mse(labels, scores)))


def _r2(labels: Array, scores: Array) -> float:
    spread = np.sum((labels - labels.mean()) ** 2)
    left = np.sum((labels - scores) ** 2)
    if spread == 0:
        return 1.0 if left == 0 else 0.0
    return float(1 - left / spread)


METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _macro(_f1s),
    "f1_binary": _positive(_f1s),
    "f1_macro": _macro(_f1s),
    "mae": _mae,
    "mse": _mse,
    "rmse": _rmse,
    "precision": _positive(_precisions),
    "precision_macro": _macro(_precisions),
    "precision_micro": _accuracy,
    "r2": _r2,
    "recall": _positive(_recalls),
    "recall_macro": _macro(_recalls),
    "recall_micro": _accuracy,
}
