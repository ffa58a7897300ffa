"""The container's own metrics, with values calculated by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn import metrics

from localcloud.sagemaker.algorithms.xgboost.evaluation import custom_metric, predicted_labels

# Actual 1 1 1 0 0, predicted 1 1 0 1 0: two hits of class 1, one of class 0.
LABELS = np.array([1, 1, 1, 0, 0], dtype=np.float32)
SCORES = np.array([0.9, 0.6, 0.5, 0.7, 0.2], dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 3 / 5),
        ("balanced_accuracy", (2 / 3 + 1 / 2) / 2),
        ("precision", 2 / 3),
        ("recall", 2 / 3),
        ("f1_binary", 2 / 3),
        ("f1", (2 / 3 + 1 / 2) / 2),
        ("f1_macro", (2 / 3 + 1 / 2) / 2),
        ("precision_macro", (2 / 3 + 1 / 2) / 2),
        ("precision_micro", 3 / 5),
        ("recall_macro", (2 / 3 + 1 / 2) / 2),
        ("recall_micro", 3 / 5),
        ("mae", (0.1 + 0.4 + 0.5 + 0.7 + 0.2) / 5),
        ("mse", (0.01 + 0.16 + 0.25 + 0.49 + 0.04) / 5),
        ("rmse", ((0.01 + 0.16 + 0.25 + 0.49 + 0.04) / 5) ** 0.5),
        ("r2", 1 - 0.95 / 1.2),
    ],
)
def test_a_metric_has_its_value(name: str, expected: float) -> None:
    [(shown, value)] = evaluated([name], LABELS, SCORES)
    assert shown == name
    assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("objective", "predictions", "expected"),
    [
        ("multi:softprob", [[0.1, 0.8, 0.1], [0.6, 0.3, 0.1]], [1.0, 0.0]),
        ("multi:softmax", [2.0, 0.0], [2.0, 0.0]),
        ("binary:hinge", [1.0, 0.0], [1.0, 0.0]),
        ("binary:logistic", [0.6, 0.4], [1.0, 0.0]),
        ("reg:logistic", [0.6, 0.4], [1.0, 0.0]),
        ("binary:logitraw", [0.1, -0.1], [1.0, 0.0]),
        ("reg:squarederror", [0.1, -0.1], [1.0, 0.0]),
    ],
)
def test_a_prediction_has_its_label(objective: str, predictions: Any, expected: list[float]) -> None:
    assert predicted_labels(np.array(predictions, dtype=np.float32), objective).tolist() == expected


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("f1_binary", [0, 2], "Target is multiclass but average='binary'"),
        ("precision", [2, 2], "Target is multiclass but average='binary'"),
        ("accuracy", [0.5, 1], "Classification metrics can't handle a mix of continuous and binary targets"),
    ],
)
def test_labels_that_do_not_fit_a_metric_are_refused(name: str, labels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluated([name], np.array(labels, dtype=np.float32), np.array([0.9, 0.1], dtype=np.float32))


def test_predictions_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Input contains NaN\."):
        evaluated(["rmse"], LABELS, SCORES * np.nan)


def test_the_metrics_are_given_to_the_library_in_order() -> None:
    assert [name for name, _ in evaluated(["rmse", "accuracy"], LABELS, SCORES)] == ["rmse", "accuracy"]


def evaluated(names: list[str], labels: Any, scores: Any) -> list[tuple[str, float]]:
    matrix = xgboost.DMatrix(np.zeros((len(labels), 1)), label=labels)
    return custom_metric(names, "binary:logistic")(scores, matrix)


SKLEARN: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": partial(metrics.f1_score, average="macro", zero_division=0.0),
    "f1_binary": partial(metrics.f1_score, zero_division=0.0),
    "f1_macro": partial(metrics.f1_score, average="macro", zero_division=0.0),
    "mae": metrics.mean_absolute_error,
    "mse": metrics.mean_squared_error,
    "rmse": metrics.root_mean_squared_error,
    "precision": partial(metrics.precision_score, zero_division=0.0),
    "precision_macro": partial(metrics.precision_score, average="macro", zero_division=0.0),
    "precision_micro": partial(metrics.precision_score, average="micro", zero_division=0.0),
    "r2": metrics.r2_score,
    "recall": partial(metrics.recall_score, zero_division=0.0),
    "recall_macro": partial(metrics.recall_score, average="macro", zero_division=0.0),
    "recall_micro": partial(metrics.recall_score, average="micro", zero_division=0.0),
}


@pytest.mark.parametrize("name", sorted(SKLEARN))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_metric_is_scikit_learns(name: str, share: float) -> None:
    random = np.random.default_rng(11)
    labels = (random.random(200) < share).astype(np.float32)
    scores = random.random(200).astype(np.float32)
    predicted = scores if name in ("mae", "mse", "rmse", "r2") else predicted_labels(scores, "binary:logistic")
    [(_, value)] = evaluated([name], labels, scores)
    assert value == pytest.approx(SKLEARN[name](labels, predicted), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    "name", [name for name in sorted(SKLEARN) if "macro" in name or "micro" in name or "acc" in name]
)
def test_a_metric_of_several_classes_is_scikit_learns(name: str) -> None:
    random = np.random.default_rng(12)
    labels = random.integers(0, 4, 300).astype(np.float32)
    scores = random.random((300, 5)).astype(np.float32)
    [(_, value)] = evaluated([name], labels, scores)
    assert value == pytest.approx(SKLEARN[name](labels, scores.argmax(axis=1)), rel=1e-5)
