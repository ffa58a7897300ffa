"""Linear Learner's training against scikit-learn's, on the same rows in memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from localcloud.sagemaker.algorithms.linear_learner import hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.fitting import fit
from localcloud.sagemaker.algorithms.linear_learner.progress import Silent
from localcloud.sagemaker.algorithms.linear_learner.table import Table

_ROWS, _FEATURES, _EPOCHS, _RUNS = 245_000, 40, 15, 3


def ratio() -> float:
    """Return the wall time of 32 models, from unscaled rows to the best one, divided by that of one SGDClassifier.

    Both train for 15 epochs with the logistic loss; matrix products have one thread, as in a training job.
    """
    train = _table()
    values = hyperparameters.validate(
        {
            "predictor_type": "binary_classifier",
            "num_models": "32",
            "epochs": str(_EPOCHS),
            "early_stopping_patience": str(_EPOCHS + 1),
        }
    )

    def one_model() -> None:
        SGDClassifier(loss="log_loss", max_iter=_EPOCHS, tol=None, random_state=0).fit(train.features, train.labels)

    def parallel_models() -> None:
        fit(values, train, None, Silent())

    with threadpool_limits(limits=1):
        pairs = [(_seconds(parallel_models), _seconds(one_model)) for _ in range(_RUNS)]
    return statistics.median(ours / theirs for ours, theirs in pairs)


def _table() -> Table:
    random = np.random.default_rng(0)
    features = random.normal(size=(_ROWS, _FEATURES)).astype(np.float32)
    outputs = features @ random.normal(size=_FEATURES) + 3 * random.normal(size=_ROWS)
    return Table(features, (outputs > 0).astype(np.float32))


def _seconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
