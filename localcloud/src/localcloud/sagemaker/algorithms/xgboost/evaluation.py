"""The metrics that the container computes itself, beside those of the library.

The recorded container takes XGBoost 3's predictions for log-odds, so its metrics of labels are all wrong. These are
right: a probability above one half is the positive label, and so are log-odds above zero; labels that the library
predicts are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

Array = npt.NDArray[Any]  # float32, as the library gives labels and predictions
Metric = Callable[[Array, Array], float]
CustomMetric = Callable[[Array, xgboost.DMatrix], list[tuple[str, float]]]

_PROBABILITIES = ("binary:logistic", "reg:logistic")
_LABELS = ("binary:hinge", "multi:softmax")


def custom_metric(names: Sequence[str], objective: str) -> CustomMetric:
    """Return the argument custom_metric of ``xgboost.train``; it raises ValueError where scikit-learn's metrics do.

    Args:
        names: Keys of `METRICS`.
        objective: The model's objective, by which predictions become labels.
    """

    def evaluate(predictions: Array, matrix: xgboost.DMatrix) -> list[tuple[str, float]]:
        actual = matrix.get_label()
        check_finite(actual, "Input")
        check_finite(predictions, "Input")
        chosen = predicted_labels(predictions, objective)
        return [(name, METRICS[name](actual, chosen if name in _OF_LABELS else _values(predictions))) for name in names]

    return evaluate


def check_finite(values: Array, what: str) -> None:
    """Raise ValueError, as scikit-learn does, if a value is NaN or infinite.

    Args:
        values: The values.
        what: Names the values in the message.
    """
    if np.isnan(values).any():
        raise ValueError(f"{what} contains NaN.")
    if np.isinf(values).any():
        raise ValueError(f"{what} contains infinity or a value too large for dtype('float32').")


def _values(predictions: Array) -> Array:
    if predictions.ndim == 2:
        raise ValueError(f"y_true and y_pred have different number of output (1!={predictions.shape[1]})")
    return predictions


def predicted_labels(predictions: Array, objective: str) -> Array:
    """Return the predicted label of each row.

    Args:
        predictions: The library's, rows or rows x classes.
        objective: The model's objective.
    """
    if predictions.ndim == 2:
        return np.asarray(predictions.argmax(axis=1), dtype=np.float64)
    if objective in _LABELS:
        return predictions.astype(np.float64)
    return (predictions > (0.5 if objective in _PROBABILITIES else 0.0)).astype(np.float64)


def _counts(labels: Array, predicted: Array) -> tuple[Array, Array, Array, Array]:
    """Return by class the true positives, the predicted and the actual rows; and the classes, sorted."""
    if (labels % 1).any():
        raise ValueError("Classification metrics can't handle a mix of continuous and binary targets")
    classes = np.union1d(labels, predicted)
    hits = np.array([np.sum((predicted == each) & (labels == each)) for each in classes], dtype=np.float64)
    claimed = np.array([np.sum(predicted == each) for each in classes], dtype=np.float64)
    actual = np.array([np.sum(labels == each) for each in classes], dtype=np.float64)
    return hits, claimed, actual, classes


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _precisions(labels: Array, predicted: Array) -> tuple[Array, Array]:
    hits, claimed, _, classes = _counts(labels, predicted)
    return _ratio(hits, claimed), classes


def _recalls(labels: Array, predicted: Array) -> tuple[Array, Array]:
    hits, _, actual, classes = _counts(labels, predicted)
    return _ratio(hits, actual), classes


def _f1s(labels: Array, predicted: Array) -> tuple[Array, Array]:
    hits, claimed, actual, classes = _counts(labels, predicted)
    return _ratio(2 * hits, claimed + actual), classes


def _accuracy(labels: Array, predicted: Array) -> float:
    hits, *_ = _counts(labels, predicted)
    return float(hits.sum() / len(labels))


def _balanced_accuracy(labels: Array, predicted: Array) -> float:
    recalls, classes = _recalls(labels, predicted)
    return float(np.mean(recalls[np.isin(classes, labels)]))


def _macro(per_class: Callable[[Array, Array], tuple[Array, Array]]) -> Metric:
    return lambda labels, predicted: float(np.mean(per_class(labels, predicted)[0]))


def _positive(per_class: Callable[[Array, Array], tuple[Array, Array]]) -> Metric:
    def of_class_one(labels: Array, predicted: Array) -> float:
        values, classes = per_class(labels, predicted)
        if len(classes) > 2:
            raise ValueError(
                "Target is multiclass but average='binary'. Please choose another average setting, one of "
                "[None, 'micro', 'macro', 'weighted']."
            )
        if len(classes) == 2 and 1.0 not in classes:
            raise ValueError(f"pos_label=1 is not a valid label: It should be one of {classes.tolist()}")
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


_OF_LABELS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _macro(_f1s),
    "f1_binary": _positive(_f1s),
    "f1_macro": _macro(_f1s),
    "precision": _positive(_precisions),
    "precision_macro": _macro(_precisions),
    "precision_micro": _accuracy,
    "recall": _positive(_recalls),
    "recall_macro": _macro(_recalls),
    "recall_micro": _accuracy,
}

METRICS: dict[str, Metric] = {**_OF_LABELS, "mae": _mae, "mse": _mse, "rmse": _rmse, "r2": _r2}
"""The metrics by name. Each takes the actual labels, and the predicted labels or values."""
