"""Small data sets that a model can learn, and training on them without a job."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from localcloud.sagemaker.algorithms.linear_learner import hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.fitting import Fitted, fit
from localcloud.sagemaker.algorithms.linear_learner.progress import Progress, Silent
from localcloud.sagemaker.algorithms.linear_learner.table import Table

Array = npt.NDArray[Any]

KINDS: dict[str, dict[str, str]] = {
    "binary_classifier": {},
    "multiclass_classifier": {"num_classes": "3"},
    "regressor": {},
}


def table(features: Array, labels: Array) -> Table:
    return Table(np.ascontiguousarray(features, np.float32), np.asarray(labels, np.float32))


def binary(rows: int = 400, seed: int = 0, noise: float = 1.0, positive: float = 0.0) -> Table:
    """Return two classes that overlap; a larger ``positive`` moves the border, so that fewer rows have label 1."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 4)) * [1, 5, 0.2, 1] + [0, 10, 0, -3]
    scaled = (features - [0, 10, 0, -3]) / [1, 5, 0.2, 1]
    outputs = scaled @ [1.5, -2.0, 1.0, 0.0] + noise * random.logistic(size=rows)
    return table(features, outputs > positive)


def multiclass(rows: int = 600, seed: int = 0, share: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)) -> Table:
    """Return three overlapping clouds, each with its share of the rows."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, rows, p=share)
    centres = np.array([[0, 0], [2, 0], [0, 2]])
    return table(centres[labels] + random.normal(size=(rows, 2)), labels)


def regression(rows: int = 400, seed: int = 0, noise: float = 0.5) -> Table:
    """Return rows with labels around 100."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3)) * [1, 10, 1] + [0, 50, 0]
    return table(features, 90 + features @ [5, 0.2, -3] + noise * random.normal(size=rows))


DATA = {"binary_classifier": binary, "multiclass_classifier": multiclass, "regressor": regression}


def trained(
    train: Table, kind: str, validation: Table | None = None, progress: Progress | None = None, **given: str | float
) -> Fitted:
    """Fit a kind of predictor, by default with mini-batches of 40."""
    values = {"predictor_type": kind, "mini_batch_size": "40", **KINDS[kind]}
    values |= {name: str(value) for name, value in given.items()}
    return fit(hyperparameters.validate(values), train, validation, progress or Silent())


def one(train: Table, kind: str, **given: str | float) -> Fitted:
    """Fit one model with fixed settings."""
    fixed: dict[str, str | float] = {"num_models": 1, "learning_rate": 0.02, "wd": 0, "l1": 0}
    return trained(train, kind, **(fixed | given))
