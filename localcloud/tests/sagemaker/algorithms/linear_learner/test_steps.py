"""The steps of training equal those of a textbook's gradient descent: one model, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.sagemaker.algorithms.linear_learner.learning import Array, Table, one, regression

PLAIN = {"normalize_data": "false", "unbias_data": "false", "normalize_label": "false", "unbias_label": "false"}


def small(rows: int = 120) -> Table:
    """Return features and labels that need no scaling."""
    data = regression(rows)
    return Table((data.features - [0, 50, 0]) / np.float32([1, 10, 1]), (data.labels - 100) / np.float32(5))


def weights(train: Table, **given: str | float) -> Array:
    """Return the weights of the only model, the bias last."""
    model = one(train, "regressor", **{"early_stopping_patience": 100, **PLAIN, **given}).model
    return np.append(model.weights[:, 0], model.bias).astype(np.float64)


def textbook(train: Table, start: Array, given: dict[str, Any]) -> Array:
    """Return the weights after all steps, with the squared loss."""
    rows = np.column_stack([train.features, np.ones(train.rows)]).astype(np.float64)
    labels = train.labels.astype(np.float64)
    batch, found, memory, steps = given["mini_batch_size"], start.copy(), np.zeros((2, len(start))), 0
    of_bias = np.arange(len(start)) == len(start) - 1
    for _ in range(given["epochs"]):
        for first in range(0, len(rows) - batch + 1, batch):
            part, wanted = rows[first : first + batch], labels[first : first + batch]
            gradient = 2 * part.T @ (part @ found - wanted) / batch
            gradient += given["wd"] * np.where(of_bias, given.get("bias_wd_mult", 0), 1) * found
            gradient += given.get("l1", 0) * np.sign(found) * ~of_bias
            rate = given["learning_rate"]
            if "lr_scheduler_step" in given:
                rate *= given["lr_scheduler_factor"] ** (steps // given["lr_scheduler_step"])
                rate = max(rate, given["lr_scheduler_minimum_lr"])
            rates = rate * np.where(of_bias, given.get("bias_lr_mult", 1), 1)
            steps += 1
            found = found - rates * direction(gradient, memory, steps, given)
    return found


def direction(gradient: Array, memory: Array, steps: int, given: dict[str, Any]) -> Array:
    if given["optimizer"] == "sgd":
        # The velocity is divided by the rate, which is constant in the cases with momentum.
        memory[0] = given["momentum"] * memory[0] + gradient
        return memory[0].copy()
    if given["optimizer"] == "rmsprop":
        memory[0] = 0.9 * memory[0] + 0.1 * gradient**2
        return gradient / (np.sqrt(memory[0]) + 1e-8)
    memory[0] = given["beta_1"] * memory[0] + (1 - given["beta_1"]) * gradient
    memory[1] = given["beta_2"] * memory[1] + (1 - given["beta_2"]) * gradient**2
    first, second = memory[0] / (1 - given["beta_1"] ** steps), memory[1] / (1 - given["beta_2"] ** steps)
    return np.asarray(first / (np.sqrt(second) + 1e-8))


ADAM = {"optimizer": "adam", "beta_1": 0.9, "beta_2": 0.999}
SGD = {"optimizer": "sgd", "momentum": 0.9}
SCHEDULE = {"lr_scheduler_step": 2, "lr_scheduler_factor": 0.5, "lr_scheduler_minimum_lr": 0.003}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(ADAM, id="adam"),
        pytest.param(ADAM | {"beta_1": 0.5}, id="beta_1"),
        pytest.param(ADAM | {"beta_2": 0.9}, id="beta_2"),
        pytest.param(SGD, id="sgd"),
        pytest.param(SGD | {"momentum": 0.0}, id="without momentum"),
        pytest.param({"optimizer": "rmsprop"}, id="rmsprop"),
        pytest.param(ADAM | {"wd": 0.3}, id="wd"),
        pytest.param(ADAM | {"l1": 0.3}, id="l1"),
        pytest.param(ADAM | {"wd": 0.3, "bias_wd_mult": 2.0, "init_bias": 0.7}, id="bias_wd_mult"),
        pytest.param(ADAM | {"bias_lr_mult": 3.0}, id="bias_lr_mult"),
        pytest.param(ADAM | SCHEDULE, id="schedule"),
        pytest.param(ADAM | SCHEDULE | {"lr_scheduler_step": 1}, id="lr_scheduler_step"),
        pytest.param(ADAM | SCHEDULE | {"lr_scheduler_factor": 0.9}, id="lr_scheduler_factor"),
        pytest.param(ADAM | SCHEDULE | {"lr_scheduler_minimum_lr": 0.015}, id="lr_scheduler_minimum_lr"),
        pytest.param(ADAM | {"learning_rate": 0.05}, id="learning_rate"),
        pytest.param(ADAM | {"epochs": 5}, id="epochs"),
        pytest.param(ADAM | {"mini_batch_size": 50}, id="mini_batch_size that leaves rows out"),
    ],
)
def test_the_weights_are_those_of_the_textbook(given: dict[str, Any]) -> None:
    train = small()
    values = {"learning_rate": 0.02, "wd": 0.0, "epochs": 3, "mini_batch_size": 40, **given}
    passed = {"use_lr_scheduler": str("lr_scheduler_step" in given).lower(), **values}
    start = weights(train, learning_rate=1e-12, **{"init_bias": given.get("init_bias", 0.0)})
    expected = textbook(train, start, values)
    assert weights(train, **passed) == pytest.approx(expected, rel=2e-4, abs=2e-6)
    assert np.abs(expected - start).max() > 0.05, "without learning, the test would prove nothing"


def test_a_schedule_is_off_unless_it_is_used() -> None:
    train, given = small(), {"learning_rate": 0.02, **SCHEDULE}
    without = weights(train, use_lr_scheduler="false", learning_rate=0.02)
    assert weights(train, **given, use_lr_scheduler="false").tolist() == without.tolist()
    assert weights(train, **given, use_lr_scheduler="true").tolist() != without.tolist()


def test_the_bias_is_zero_if_it_is_off() -> None:
    train = small()
    assert weights(train, use_bias="false", init_bias=3.0)[-1] == 0
    assert weights(train, use_bias="true", init_bias=3.0)[-1] != 0


@pytest.mark.parametrize("method", ["uniform", "normal"])
def test_the_initial_weights_are_drawn_as_requested(method: str) -> None:
    wide = Table(np.random.default_rng(0).normal(size=(40, 2000)).astype(np.float32), np.arange(40, dtype=np.float32))
    given = {"init_method": method, "init_scale": 0.2, "init_sigma": 0.3, "init_bias": -1.5}
    start = weights(wide, learning_rate=1e-12, **given)
    drawn = start[:-1]
    if method == "uniform":
        assert 0.19 < np.abs(drawn).max() <= 0.2
        assert drawn.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)
    else:
        assert drawn.std() == pytest.approx(0.3, rel=0.05)
        assert np.abs(drawn).max() > 0.8
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert start[-1] == pytest.approx(-1.5, abs=1e-6)
