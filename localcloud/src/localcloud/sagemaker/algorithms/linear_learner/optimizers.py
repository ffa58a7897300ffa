"""Steps of gradient descent for all models at once, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.table import Floats

_MOMENTUM = 0.9
_BETA_1 = 0.9
_BETA_2 = 0.999
_SMALL = np.float32(1e-8)
_RMS_DECAY = np.float32(0.9)


class Optimizer(Protocol):
    """An optimizer with its state, for weights of one shape."""

    def step(self, weights: Floats, gradient: Floats, rate: Floats) -> None:
        """Change the weights in place.

        Args:
            weights: The weights.
            gradient: The gradient, which may be overwritten.
            rate: The learning rate of each weight.
        """
        ...


def optimizer_of(hyperparameters: Hyperparameters, shape: tuple[int, int]) -> Optimizer:
    """Return the optimizer of the hyperparameters, for weights of this shape."""
    makers: dict[str, Callable[[], Optimizer]] = {
        "adam": lambda: Adam(
            shape,
            _BETA_1 if hyperparameters.beta_1 is None else hyperparameters.beta_1,
            _BETA_2 if hyperparameters.beta_2 is None else hyperparameters.beta_2,
        ),
        "sgd": lambda: Sgd(shape, _MOMENTUM if hyperparameters.momentum is None else hyperparameters.momentum),
        "rmsprop": lambda: RmsProp(shape),
    }
    return makers[hyperparameters.optimizer]()


class Adam:
    """Adam (Kingma and Ba, 2015)."""

    def __init__(self, shape: tuple[int, int], beta_1: float, beta_2: float) -> None:
        self._beta_1, self._beta_2 = beta_1, beta_2
        self._decayed_1 = self._decayed_2 = 1.0
        self._first = np.zeros(shape, np.float32)
        self._second = np.zeros(shape, np.float32)
        self._scratch = np.empty(shape, np.float32)

    def step(self, weights: Floats, gradient: Floats, rate: Floats) -> None:
        """Change the weights as `Optimizer` describes."""
        scratch = self._scratch
        self._decayed_1 *= self._beta_1
        self._decayed_2 *= self._beta_2
        self._first *= np.float32(self._beta_1)
        self._first += np.multiply(gradient, np.float32(1 - self._beta_1), out=scratch)
        self._second *= np.float32(self._beta_2)
        gradient *= gradient
        self._second += np.multiply(gradient, np.float32(1 - self._beta_2), out=scratch)
        # Both bias corrections are one factor, which also applies to the small term of the denominator.
        correction = np.sqrt(1 - self._decayed_2)
        np.sqrt(self._second, out=scratch)
        scratch += np.float32(_SMALL * correction)
        np.divide(self._first, scratch, out=scratch)
        scratch *= np.float32(correction / (1 - self._decayed_1))
        scratch *= rate
        weights -= scratch


class Sgd:
    """Stochastic gradient descent with momentum."""

    def __init__(self, shape: tuple[int, int], momentum: float) -> None:
        self._momentum = np.float32(momentum)
        self._velocity = np.zeros(shape, np.float32)

    def step(self, weights: Floats, gradient: Floats, rate: Floats) -> None:
        """Change the weights as `Optimizer` describes."""
        self._velocity *= self._momentum
        gradient *= rate
        self._velocity -= gradient
        weights += self._velocity


class RmsProp:
    """RMSprop (Tieleman and Hinton, 2012)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._square = np.zeros(shape, np.float32)
        self._scratch = np.empty(shape, np.float32)

    def step(self, weights: Floats, gradient: Floats, rate: Floats) -> None:
        """Change the weights as `Optimizer` describes."""
        scratch = self._scratch
        self._square *= _RMS_DECAY
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - _RMS_DECAY
        self._square += scratch
        np.sqrt(self._square, out=scratch)
        scratch += _SMALL
        gradient *= rate
        gradient /= scratch
        weights -= gradient
