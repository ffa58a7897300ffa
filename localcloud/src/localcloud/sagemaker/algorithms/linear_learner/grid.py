"""The models that are trained in parallel: the settings of each, where the request leaves them open."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.rules import AUTO

_MODELS = 32
_MOST_VALUES = 2**26  # of all models' weights, or outputs of a mini-batch: beyond, fewer models are trained

# The first value of each is the first model's. By captures of the service's logs, its grid has learning rates from
# 0.005 to 0.1 and weight decays from 1e-4 up, with the schedules below.
_LEARNING_RATES = {
    "adam": (0.005, 0.1, 0.02, 0.05),
    "rmsprop": (0.005, 0.02, 0.001, 0.01),
    "sgd": (0.05, 0.5, 0.01, 0.1),
}
_PENALTIES = ((1e-4, 0.0), (1e-2, 0.0), (0.0, 1e-3), (1e-3, 0.0))  # wd and l1
_STEPS = (10, 100)
_FACTOR = 0.99
_MINIMUM = 1e-5


@dataclass(frozen=True)
class Setting:
    """The setting of one model. ``positive_weight`` is for binary classifiers."""

    learning_rate: float
    wd: float
    l1: float
    lr_scheduler_step: int
    lr_scheduler_factor: float
    lr_scheduler_minimum_lr: float
    positive_weight: float

    def as_json(self, optimizer: str) -> str:
        """Return the setting as in the service's log of the best model."""
        shown: dict[str, Any] = {"optimizer": optimizer, **asdict(self)}
        del shown["positive_weight"]
        return json.dumps(shown)


def settings(hyperparameters: Hyperparameters, *, columns: int, negatives_per_positive: float) -> list[Setting]:
    """Return the settings of the parallel models, in their order.

    Args:
        hyperparameters: The hyperparameters.
        columns: The columns of the design matrix.
        negatives_per_positive: The ratio in the training data of a binary classifier.
    """
    values = max(columns, hyperparameters.mini_batch_size) * hyperparameters.num_classes
    count = hyperparameters.num_models or max(1, min(_MODELS, _MOST_VALUES // values))
    grid = list(_grid(hyperparameters, _positive_weights(hyperparameters, negatives_per_positive)))
    # If there are more models than settings, the others differ in their initial weights.
    return [grid[number % len(grid)] for number in range(count)]


def _grid(hyperparameters: Hyperparameters, positive_weights: tuple[float, ...]) -> Iterator[Setting]:
    """Yield all combinations; the learning rate changes first, so that even two models differ."""
    given = hyperparameters
    scheduled = given.use_lr_scheduler
    penalties = dict.fromkeys((_given(given.wd, wd), _given(given.l1, l1)) for wd, l1 in _PENALTIES)
    for step, (wd, l1), rate in itertools.product(
        _one_of(given.lr_scheduler_step, _STEPS if scheduled else _STEPS[:1]),
        penalties,
        _one_of(given.learning_rate, _LEARNING_RATES[given.optimizer]),
    ):
        setting = Setting(
            learning_rate=rate,
            wd=wd,
            l1=l1,
            lr_scheduler_step=step,
            lr_scheduler_factor=_FACTOR if given.lr_scheduler_factor is None else given.lr_scheduler_factor,
            lr_scheduler_minimum_lr=given.lr_scheduler_minimum_lr or _MINIMUM,
            positive_weight=1.0,
        )
        for weight in positive_weights:
            yield replace(setting, positive_weight=weight)


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _one_of(given: Any | None, otherwise: tuple[Any, ...]) -> tuple[Any, ...]:
    return otherwise if given is None else (given,)


def _positive_weights(hyperparameters: Hyperparameters, negatives_per_positive: float) -> tuple[float, ...]:
    given = hyperparameters.positive_example_weight_mult
    if given == "balanced":
        return (negatives_per_positive,)
    if given == AUTO:
        return (1.0, negatives_per_positive)
    return (float(given),)
