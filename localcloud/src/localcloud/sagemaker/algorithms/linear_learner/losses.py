"""The losses: their gradients for all models at once, and their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.table import Floats

_LEAST = np.float32(1e-7)  # the least probability whose logarithm is computed


class Loss(Protocol):
    """A loss of outputs and labels, for all models at once.

    Outputs are rows x (models * ``outputs``): each model has so many adjacent columns.
    """

    name: str
    outputs: int

    def differentiate(self, outputs: Floats, labels: Floats, weights: Floats | None) -> Floats:
        """Replace the outputs by the gradients, and return each model's loss, summed over the rows.

        Args:
            outputs: Rows x (models * ``outputs``).
            labels: One for each row.
            weights: The weight of rows, rows x models, or rows x 1 for all models; None for 1.
        """
        ...

    def mean(self, outputs: Floats, labels: Floats) -> Floats:
        """Return each model's mean loss over the rows."""
        ...


def loss_of(hyperparameters: Hyperparameters) -> Loss:
    """Return the loss of the hyperparameters."""
    if hyperparameters.loss == "softmax_loss":
        return Softmax(hyperparameters.num_classes)
    if hyperparameters.loss == "logistic":
        return Logistic()
    if hyperparameters.loss == "hinge_loss":
        return Hinge(hyperparameters.margin)
    names = {"squared_loss": "mse"}
    return OfError(
        names.get(hyperparameters.loss, hyperparameters.loss), _OF_ERROR[hyperparameters.loss](hyperparameters)
    )


class Logistic:
    """Cross entropy of two classes."""

    name = "binary_classification_cross_entropy"
    outputs = 1

    def differentiate(self, outputs: Floats, labels: Floats, weights: Floats | None) -> Floats:
        """Differentiate as `Loss` describes."""
        # tanh(z / 2) = 2 p - 1: one fast pass in place of an exponential and a division.
        outputs *= np.float32(0.5)
        np.tanh(outputs, out=outputs)
        outputs -= (2 * labels - 1)[:, None]
        outputs *= np.float32(0.5)  # p - label
        losses = np.abs(outputs)
        np.subtract(1 + _LEAST, losses, out=losses)  # the probability of the label
        np.log(losses, out=losses)
        if weights is not None:
            outputs *= weights
            losses *= weights
        return -_sum(losses)

    def mean(self, outputs: Floats, labels: Floats) -> Floats:
        """Return each model's mean loss."""
        signed = outputs * (1 - 2 * labels)[:, None]
        return _mean(np.logaddexp(np.float32(0.0), signed))


class Hinge:
    """The hinge loss, as of a support vector machine."""

    name = "hinge_loss"
    outputs = 1

    def __init__(self, margin: float) -> None:
        self._margin = np.float32(margin)

    def differentiate(self, outputs: Floats, labels: Floats, weights: Floats | None) -> Floats:
        """Differentiate as `Loss` describes."""
        signs = (2 * labels - 1)[:, None]
        short = self._margin - outputs * signs
        np.multiply(short > 0, -signs, out=outputs)
        np.maximum(short, 0, out=short)
        if weights is not None:
            outputs *= weights
            short *= weights
        return _sum(short)

    def mean(self, outputs: Floats, labels: Floats) -> Floats:
        """Return each model's mean loss."""
        return _mean(np.maximum(self._margin - outputs * (2 * labels - 1)[:, None], 0))


class Softmax:
    """Cross entropy of several classes."""

    name = "multiclass_cross_entropy"

    def __init__(self, classes: int) -> None:
        self.outputs = classes

    def differentiate(self, outputs: Floats, labels: Floats, weights: Floats | None) -> Floats:
        """Differentiate as `Loss` describes."""
        by_model = self._by_model(outputs)
        by_model -= by_model.max(axis=2, keepdims=True)
        np.exp(by_model, out=by_model)
        by_model /= by_model.sum(axis=2, keepdims=True)
        rows, classes = np.arange(len(labels)), labels.astype(np.intp)
        right = by_model[rows, :, classes]
        losses = np.log(right + _LEAST)
        by_model[rows, :, classes] = right - 1
        if weights is not None:
            by_model *= weights[:, :, None]
            losses *= weights
        return -_sum(losses)

    def mean(self, outputs: Floats, labels: Floats) -> Floats:
        """Return each model's mean loss."""
        by_model = self._by_model(outputs)
        most = by_model.max(axis=2)
        normal = most + np.log(np.exp(by_model - most[:, :, None]).sum(axis=2))
        return _mean(normal - by_model[np.arange(len(labels)), :, labels.astype(np.intp)])

    def _by_model(self, outputs: Floats) -> Floats:
        return outputs.reshape(len(outputs), -1, self.outputs)


Curve = Callable[[Floats], tuple[Floats, Floats]]
"""Returns the loss of each error, which is output minus label, and the loss's derivative."""


class OfError:
    """The loss of a regression: a curve over the difference of output and label.

    Args:
        name: The loss's name in the log.
        curve: The curve.
    """

    outputs = 1

    def __init__(self, name: str, curve: Curve) -> None:
        self.name = name
        self._curve = curve

    def differentiate(self, outputs: Floats, labels: Floats, weights: Floats | None) -> Floats:
        """Differentiate as `Loss` describes; a regression's rows have no weights."""
        outputs -= labels[:, None]
        losses, outputs[:] = self._curve(outputs)
        return _sum(losses)

    def mean(self, outputs: Floats, labels: Floats) -> Floats:
        """Return each model's mean loss."""
        return _mean(self._curve(outputs - labels[:, None])[0])


def _squared(_: Hyperparameters) -> Curve:
    return lambda errors: (errors * errors, 2 * errors)


def _absolute(_: Hyperparameters) -> Curve:
    return lambda errors: (np.abs(errors), np.sign(errors))


def _insensitive_squared(hyperparameters: Hyperparameters) -> Curve:
    insensitivity = np.float32(hyperparameters.loss_insensitivity)

    def curve(errors: Floats) -> tuple[Floats, Floats]:
        beyond = np.maximum(np.abs(errors) - insensitivity, 0)
        return beyond * beyond, 2 * beyond * np.sign(errors)

    return curve


def _insensitive_absolute(hyperparameters: Hyperparameters) -> Curve:
    insensitivity = np.float32(hyperparameters.loss_insensitivity)

    def curve(errors: Floats) -> tuple[Floats, Floats]:
        beyond = np.maximum(np.abs(errors) - insensitivity, 0)
        return beyond, np.sign(errors) * (beyond > 0)

    return curve


def _quantile(hyperparameters: Hyperparameters) -> Curve:
    # The guide: "so that the value of true_label is greater than the prediction with probability q".
    quantile = np.float32(hyperparameters.quantile)

    def curve(errors: Floats) -> tuple[Floats, Floats]:
        slope = np.where(errors > 0, quantile, quantile - 1)
        return slope * errors, slope

    return curve


def _huber(hyperparameters: Hyperparameters) -> Curve:
    delta = np.float32(hyperparameters.huber_delta)

    def curve(errors: Floats) -> tuple[Floats, Floats]:
        clipped = np.clip(errors, -delta, delta)
        return clipped * (errors - clipped / 2), clipped

    return curve


_OF_ERROR: dict[str, Callable[[Hyperparameters], Curve]] = {
    "squared_loss": _squared,
    "absolute_loss": _absolute,
    "eps_insensitive_squared_loss": _insensitive_squared,
    "eps_insensitive_absolute_loss": _insensitive_absolute,
    "quantile_loss": _quantile,
    "huber_loss": _huber,
}


def _sum(losses: Floats) -> Floats:
    """Return the sum of each column."""
    return np.asarray(losses.sum(axis=0))


def _mean(losses: Floats) -> Floats:
    """Return the mean of each column."""
    return np.asarray(losses.mean(axis=0))
