"""The choice of the best model, and of the last epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from localcloud.sagemaker.algorithms.linear_learner.calibration import calibrate, criterion_of
from localcloud.sagemaker.algorithms.linear_learner.design import Design
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.parallel import ParallelModels
from localcloud.sagemaker.algorithms.linear_learner.table import Floats

Losses = npt.NDArray[np.float64]

_CALIBRATION_SAMPLES = 10_000_000  # ``auto`` in the service's default configuration


@dataclass(frozen=True)
class Choice:
    """The best of the models.

    Attributes:
        number: The model's number, from 0.
        threshold: The model's threshold.
        value: The criterion's value, as in the log.
        loss: The value for early stopping: the lower, the better.
        objective: The loss that the training minimizes.
    """

    number: int
    threshold: float
    value: float
    loss: float
    objective: float

    def is_better_than(self, other: Choice) -> bool:
        """Compare by the criterion, and if it is equal, as often on few rows, by the objective."""
        return (self.loss, self.objective) < (other.loss, other.objective)


NEVER = Choice(number=0, threshold=0.0, value=np.inf, loss=np.inf, objective=np.inf)  # worse than any model


class Judge:
    """Chooses among models by some rows: those of the validation data, else of the training data.

    Args:
        hyperparameters: The hyperparameters, with the criterion.
        design: The rows.
        labels: One for each row, in the unit of the data.
        unscaled: Converts outputs to the unit of the data.
    """

    def __init__(
        self, hyperparameters: Hyperparameters, design: Design, labels: Floats, unscaled: Callable[[Floats], Floats]
    ) -> None:
        self._design = design
        self._labels = labels
        self._unscaled = unscaled
        self._criterion = criterion_of(hyperparameters)
        self._sample = min(design.rows, hyperparameters.num_calibration_samples or _CALIBRATION_SAMPLES)
        self.named = None if self._criterion is None else hyperparameters.binary_classifier_model_selection_criteria

    def losses(self, models: ParallelModels) -> Losses:
        """Return each model's mean loss."""
        return models.losses(self._design, self._labels, self._unscaled)

    def choose(self, models: ParallelModels, losses: Losses) -> Choice:
        """Return the best model by the criterion, and of equal ones that with the least loss.

        Args:
            models: The models.
            losses: What `losses` returned.
        """
        finite = np.where(np.isfinite(losses), losses, np.inf)
        if self._criterion is None:
            return by_loss(finite)
        labels = self._labels[: self._sample]
        found = [
            calibrate(np.nan_to_num(outputs), labels, self._criterion)
            for outputs in models.outputs(self._design, self._sample)
        ]
        values = np.where(np.isfinite(finite), [value for _, value in found], -np.inf)
        number = int(np.lexsort((finite, -values))[0])
        value = float(values[number])
        return Choice(number, found[number][0], value, 1 - value, float(finite[number]))


def by_loss(losses: Losses) -> Choice:
    """Return the model with the least of the losses."""
    finite = np.where(np.isfinite(losses), losses, np.inf)
    number = int(finite.argmin())
    least = float(finite[number])
    return Choice(number, 0.0, least, least, least)


class EarlyStopping:
    """Counts the epochs since the last improvement of the loss.

    Args:
        patience: How many epochs without improvement end the training.
        tolerance: The least improvement, as a part of the best loss.
    """

    def __init__(self, patience: int, tolerance: float) -> None:
        self._patience = patience
        self._tolerance = tolerance
        self._best = np.inf
        self.waited = 0

    def improves(self, loss: float) -> bool:
        """Count an epoch, and return whether its loss is an improvement; the first finite one is."""
        if np.isfinite(self._best):
            improved = self._best - loss > self._tolerance * abs(self._best)
        else:
            improved = bool(np.isfinite(loss))
        self._best = loss if improved else self._best
        self.waited = 0 if improved else self.waited + 1
        return improved

    @property
    def over(self) -> bool:
        """Whether training should end."""
        return self.waited >= self._patience
