"""The container's own metrics, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from localcloud.sagemaker.algorithms.xgboost.evaluation import METRICS, custom_metric

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
def test_a_metric(name: str, expected: float) -> None:
    assert METRICS[name](LABELS, SCORES) == pytest.approx(expected, rel=1e-6)


def test_the_highest_score_is_the_class() -> None:
    scores = np.array([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1]], dtype=np.float32)
    assert METRICS["accuracy"](np.array([1, 2], dtype=np.float32), scores) == 0.5


def test_f1_binary_wants_two_classes() -> None:
    with pytest.raises(ValueError, match="Target is multiclass but average='binary'"):
        METRICS["f1_binary"](np.array([0, 2], dtype=np.float32), SCORES[:2])


def test_the_metrics_are_given_to_the_library_in_order() -> None:
    matrix = xgboost.DMatrix(np.zeros((5, 1)), label=LABELS)
    assert [name for name, _ in custom_metric(["rmse", "accuracy"])(SCORES, matrix)] == ["rmse", "accuracy"]
