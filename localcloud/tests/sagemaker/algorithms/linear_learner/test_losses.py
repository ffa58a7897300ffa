"""The losses: their values are the textbook's, and their gradients are differences of these values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.sagemaker.algorithms.linear_learner.learning import Array

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters, validate
from localcloud.sagemaker.algorithms.linear_learner.losses import Loss, loss_of

ROWS, MODELS = 50, 3


def values(loss: str) -> Hyperparameters:
    kind = {"logistic": "binary_classifier", "hinge_loss": "binary_classifier", "softmax_loss": "multiclass_classifier"}
    given = {"predictor_type": kind.get(loss, "regressor"), "num_classes": "4", "loss": loss}
    return replace(validate(given), margin=0.7, quantile=0.3, loss_insensitivity=0.4, huber_delta=0.5)


LOSSES = (
    *("logistic", "hinge_loss", "softmax_loss", "squared_loss", "absolute_loss", "eps_insensitive_squared_loss"),
    *("eps_insensitive_absolute_loss", "quantile_loss", "huber_loss"),
)


def example(loss: Loss, kind: str) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    outputs = random.normal(scale=1.5, size=(ROWS, MODELS * loss.outputs)).astype(np.float32)
    labels = {"binary_classifier": 2, "multiclass_classifier": 4}.get(kind)
    drawn = random.normal(size=ROWS) if labels is None else random.integers(labels, size=ROWS)
    return outputs, drawn.astype(np.float32)


@pytest.mark.parametrize(
    ("name", "weighted"), [*((name, False) for name in LOSSES), *((name, True) for name in LOSSES[:3])]
)
def test_the_gradient_is_that_of_the_value(name: str, weighted: bool) -> None:
    loss = loss_of(values(name))
    outputs, labels = example(loss, values(name).predictor_type)
    weights = np.random.default_rng(1).uniform(1, 3, (ROWS, MODELS)).astype(np.float32) if weighted else None
    gradient = outputs.copy()
    total = loss.differentiate(gradient, labels, weights)

    def value(moved: Array) -> Array:
        each = np.array([loss.mean(moved[row : row + 1], labels[row : row + 1]) for row in range(ROWS)])
        return np.asarray((each * (1 if weights is None else weights)).sum(axis=0))

    assert total == pytest.approx(value(outputs), rel=1e-4)
    for column in range(outputs.shape[1]):
        for row in range(0, ROWS, 7):
            step = np.zeros(outputs.shape)
            step[row, column] = 1e-4
            slope = (value(outputs + step) - value(outputs - step))[column // loss.outputs] / 2e-4
            assert gradient[row, column] == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "output", "label", "expected"),
    [
        ("logistic", 0.0, 1.0, np.log(2)),
        ("logistic", 3.0, 0.0, np.log1p(np.exp(3))),
        ("logistic", -200.0, 1.0, 200.0),
        ("hinge_loss", 0.2, 1.0, 0.5),
        ("hinge_loss", 0.2, 0.0, 0.9),
        ("hinge_loss", 0.8, 1.0, 0.0),
        ("squared_loss", 3.0, 1.0, 4.0),
        ("absolute_loss", 3.0, 1.0, 2.0),
        ("eps_insensitive_squared_loss", 3.0, 1.0, 1.6**2),
        ("eps_insensitive_squared_loss", 1.3, 1.0, 0.0),
        ("eps_insensitive_absolute_loss", -1.0, 1.0, 1.6),
        ("quantile_loss", 3.0, 1.0, 0.3 * 2),
        ("quantile_loss", -1.0, 1.0, 0.7 * 2),
        ("huber_loss", 1.2, 1.0, 0.02),
        ("huber_loss", 3.0, 1.0, 0.5 * (2 - 0.25)),
    ],
)
def test_the_value_is_the_textbooks(name: str, output: float, label: float, expected: float) -> None:
    found = loss_of(values(name)).mean(np.float32([[output]]), np.float32([label]))
    assert found.tolist() == pytest.approx([expected], rel=1e-6)


def test_softmax_is_cross_entropy() -> None:
    outputs = np.float32([[1, 2, 3, 4, 500, 0, 0, 0]])  # two models
    expected = [np.log(np.exp([1, 2, 3, 4]).sum()) - 2, 500.0]
    assert loss_of(values("softmax_loss")).mean(outputs, np.float32([1])).tolist() == pytest.approx(expected, rel=1e-6)


def test_confident_errors_have_a_finite_loss_and_gradient() -> None:
    for name in ("logistic", "softmax_loss"):
        loss = loss_of(values(name))
        outputs = np.full((1, loss.outputs), 0, np.float32)
        outputs[0, -1] = 300
        total = loss.differentiate(outputs, np.float32([0]), None)
        assert np.isfinite(total).all()
        assert outputs[0, -1] == pytest.approx(1)
