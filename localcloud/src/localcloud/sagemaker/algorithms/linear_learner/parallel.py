"""Models that are trained in parallel, all of them on each mini-batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from localcloud.sagemaker.algorithms.linear_learner.design import Design
from localcloud.sagemaker.algorithms.linear_learner.grid import Setting
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.losses import Loss
from localcloud.sagemaker.algorithms.linear_learner.optimizers import optimizer_of
from localcloud.sagemaker.algorithms.linear_learner.table import Floats

_SEED = 0
_CHUNK_VALUES = 2**22  # float32 of outputs in memory at once during an evaluation


class ParallelModels:
    """The models' weights, (features + 1) x (models * outputs); the last row is the biases.

    Two trainings on the same data give the same weights, bit by bit.

    Args:
        hyperparameters: The hyperparameters.
        settings: The setting of each model.
        loss: The loss to minimize.
        columns: The columns of the design matrix.
    """

    def __init__(self, hyperparameters: Hyperparameters, settings: Sequence[Setting], loss: Loss, columns: int) -> None:
        self._loss = loss
        self._settings = settings
        self._rates = _Rates(settings, scheduled=hyperparameters.use_lr_scheduler)
        self._batch = hyperparameters.mini_batch_size
        self.weights = _initial(hyperparameters, (columns, len(settings) * loss.outputs))
        self._optimizer = optimizer_of(hyperparameters, self.weights.shape)
        # One multiplier for each row; the last is the bias's, which is 0 without a bias.
        self._rate_multiplier = np.ones((columns, 1), np.float32)
        self._rate_multiplier[-1] = (hyperparameters.bias_lr_mult or 1.0) if hyperparameters.use_bias else 0.0
        decayed = np.ones((columns, 1), np.float32)
        decayed[-1] = hyperparameters.bias_wd_mult or 0.0
        self._decay = decayed * self._each_column([each.wd for each in settings])
        l1 = self._each_column([each.l1 for each in settings])
        self._l1 = l1 * (np.arange(columns)[:, None] < columns - 1) if l1.any() else None
        self._steps = 0

    def epoch(
        self, design: Design, labels: Floats, row_weights: RowWeights | None, stopped: Callable[[], bool]
    ) -> npt.NDArray[np.float64]:
        """Train on all full mini-batches, and return each model's mean loss meanwhile.

        Rows that don't fill a mini-batch are left out, as in the service's logs.

        Args:
            design: The rows to train on.
            labels: One for each row, scaled.
            row_weights: Returns the weights of rows; None for 1.
            stopped: Called after each mini-batch; ends the pass if it returns True.
        """
        outputs = np.empty((self._batch, self.weights.shape[1]), np.float32)
        gradient = np.empty_like(self.weights)
        total = np.zeros(len(self._settings))
        seen = 0
        for start in range(0, design.rows - self._batch + 1, self._batch):
            rows = slice(start, start + self._batch)
            design.outputs(rows, self.weights, outputs)
            weights = None if row_weights is None else row_weights(labels[rows])
            total += self._loss.differentiate(outputs, labels[rows], weights)
            design.gradient(rows, outputs, gradient)
            self._learn(gradient)
            seen += self._batch
            if stopped():
                break
        return total / seen

    def losses(self, design: Design, labels: Floats, unscaled: Callable[[Floats], Floats]) -> npt.NDArray[np.float64]:
        """Return each model's mean loss.

        Args:
            design: The rows.
            labels: One for each row, in the unit of the data.
            unscaled: Converts outputs to the unit of the data.
        """
        total = np.zeros(len(self._settings))
        for rows in chunks(design.rows, self.weights.shape[1]):
            outputs = unscaled(self._outputs(design, rows, self.weights))
            total += self._loss.mean(outputs, labels[rows]) * (rows.stop - rows.start)
        return total / design.rows

    def outputs(self, design: Design, rows: int) -> Floats:
        """Return the outputs of the first ``rows`` rows, models x rows, of models with one output."""
        found = np.empty((self.weights.shape[1], rows), np.float32)
        for part in chunks(rows, self.weights.shape[1]):
            found[:, part] = self._outputs(design, part, self.weights).T
        return found

    def _outputs(self, design: Design, rows: slice, weights: Floats) -> Floats:
        return design.outputs(rows, weights, np.empty((rows.stop - rows.start, weights.shape[1]), np.float32))

    def _learn(self, gradient: Floats) -> None:
        gradient *= np.float32(1.0 / self._batch)
        gradient += self._decay * self.weights
        if self._l1 is not None:
            gradient += self._l1 * np.sign(self.weights)
        rates = self._each_column(self._rates.after(self._steps))
        self._optimizer.step(self.weights, gradient, self._rate_multiplier * rates)
        self._steps += 1

    def _each_column(self, values: npt.ArrayLike) -> Floats:
        """Return the value of each model, repeated for each of its outputs."""
        return np.repeat(np.asarray(values, np.float32), self._loss.outputs)


RowWeights = Callable[[Floats], Floats]
"""Returns the weights of rows by their labels: rows x models, or rows x 1 if all models have the same."""


def chunks(rows: int, columns: int) -> list[slice]:
    """Return slices of all rows; the outputs of one, with so many columns, fit into a bounded part of memory."""
    step = max(1, _CHUNK_VALUES // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


class _Rates:
    """The models' learning rates: each decreases by its factor every few steps, to a minimum."""

    def __init__(self, settings: Sequence[Setting], *, scheduled: bool) -> None:
        self._first = np.array([each.learning_rate for each in settings])
        self._every = np.array([each.lr_scheduler_step for each in settings])
        self._factor = np.array([each.lr_scheduler_factor if scheduled else 1.0 for each in settings])
        # A rate that starts below the minimum stays constant.
        self._minimum = np.minimum(self._first, [each.lr_scheduler_minimum_lr for each in settings])

    def after(self, steps: int) -> npt.NDArray[np.float64]:
        """Return the learning rate of each model."""
        return np.asarray(np.maximum(self._first * self._factor ** (steps // self._every), self._minimum))


def _initial(hyperparameters: Hyperparameters, shape: tuple[int, int]) -> Floats:
    random = np.random.default_rng(_SEED)
    if hyperparameters.init_method == "uniform":
        weights = random.uniform(-hyperparameters.init_scale, hyperparameters.init_scale, shape)
    else:
        weights = random.normal(0.0, hyperparameters.init_sigma, shape)
    weights[-1] = hyperparameters.init_bias if hyperparameters.use_bias else 0.0
    return weights.astype(np.float32)
