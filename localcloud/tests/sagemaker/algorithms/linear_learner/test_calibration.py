"""The threshold is the best of all thresholds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sagemaker.algorithms.linear_learner.learning import Array

from localcloud.sagemaker.algorithms.linear_learner.calibration import calibrate, criterion_of
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import validate

CRITERIA = ("accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision")
BASE = replace(validate({"predictor_type": "binary_classifier"}), f_beta=0.5, target_recall=0.6, target_precision=0.7)


def value_of(criterion: str, threshold: float, outputs: Array, labels: Array) -> float:
    """Return the criterion's value by counting; minus infinity if the target isn't reached."""
    predicted = outputs.astype(np.float64) > threshold
    hits = int((predicted & (labels == 1)).sum())
    precision, recall = hits / max(int(predicted.sum()), 1), hits / max(int((labels == 1).sum()), 1)
    if criterion == "accuracy":
        return float((predicted == labels).mean())
    if criterion == "f_beta":
        return 1.25 * precision * recall / (0.25 * precision + recall) if precision + recall else 0.0
    if criterion == "precision_at_target_recall":
        return precision if recall >= 0.6 else -np.inf
    return recall if precision >= 0.7 else -np.inf


def calibrated(criterion: str, outputs: Array, labels: Array) -> tuple[float, float]:
    found: Any = criterion_of(replace(BASE, binary_classifier_model_selection_criteria=criterion))
    return calibrate(outputs, labels, found)


rows = st.lists(
    st.tuples(st.sampled_from([-2.5, -1.0, -0.25, 0.0, 0.5, 3.0]) | st.floats(-5, 5, width=32), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(rows=rows, criterion=st.sampled_from(CRITERIA))
def test_no_other_threshold_is_better(rows: list[tuple[float, bool]], criterion: str) -> None:
    outputs = np.float32([output for output, _ in rows])
    labels = np.float32([label for _, label in rows])
    threshold, value = calibrated(criterion, outputs, labels)
    edges = np.unique(outputs).astype(np.float64)
    every = [edges[0] - 1, *edges, 0.0]
    best = max(value_of(criterion, each, outputs, labels) for each in every)
    if best == -np.inf:
        assert (threshold, value) == (0.0, 0.0)
    else:
        assert value == pytest.approx(best)
        assert value_of(criterion, threshold, outputs, labels) == pytest.approx(best)
        if value_of(criterion, 0.0, outputs, labels) == best:
            assert threshold == 0


def test_the_threshold_is_between_the_classes() -> None:
    outputs, labels = np.float32([1, 2, 5, 7]), np.float32([0, 0, 1, 1])
    assert calibrated("accuracy", outputs, labels) == (3.5, 1.0)


def test_of_equal_thresholds_the_one_nearest_to_the_middle_is_chosen() -> None:
    outputs, labels = np.float32([-9, -8, -7, 1, 2, 3]), np.float32([0, 1, 0, 0, 1, 0])
    # Four of six are right with a threshold between 1 and 2, and also with one above all.
    assert calibrated("accuracy", outputs, labels) == (1.5, pytest.approx(4 / 6))
    assert calibrated("accuracy", -outputs, 1 - labels) == (-1.5, pytest.approx(4 / 6))


def test_a_threshold_may_be_above_or_below_all_outputs() -> None:
    outputs = np.float32([1, 2, 3])
    assert calibrated("accuracy", outputs, np.float32([0, 0, 0])) == (3.0, 1.0)
    threshold, value = calibrated("accuracy", -outputs, np.float32([1, 1, 1]))
    assert (threshold, value) == (pytest.approx(-3, abs=1e-6), 1.0)
    assert threshold < -3


def test_the_loss_is_no_criterion_of_thresholds() -> None:
    assert criterion_of(replace(BASE, binary_classifier_model_selection_criteria="loss_function")) is None
    assert criterion_of(validate({"predictor_type": "regressor"})) is None
