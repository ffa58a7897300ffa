"""A training job of Linear Learner: the process that `jobs.child` describes."""

from __future__ import annotations

import logging
import signal
import sys
import threading

import numpy as np

from localcloud.sagemaker.algorithms.linear_learner import channels, hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.evaluation import evaluate
from localcloud.sagemaker.algorithms.linear_learner.fitting import Fitted, fit
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.losses import loss_of
from localcloud.sagemaker.algorithms.linear_learner.model import NAME
from localcloud.sagemaker.algorithms.linear_learner.progress import Progress
from localcloud.sagemaker.algorithms.linear_learner.table import Table
from localcloud.sagemaker.jobs.child import UserError, run
from localcloud.sagemaker.jobs.container import Layout

logger = logging.getLogger(__name__)


def train(layout: Layout) -> None:
    """Check the job, read its data, train and save the model.

    SIGTERM during the training ends it with the best model so far, as in StopTrainingJob's documentation of the
    service's own algorithms.

    Raises:
        UserError: Hyperparameters, channels or data are at fault.
    """
    _log_as_the_service()
    values = _configuration(layout)
    tables = {
        channel.name: channels.read(channel, values) for channel in channels.validate(layout.channels(), layout.channel)
    }
    _check_widths(tables)
    _warn_of_traps(tables["train"], values.mini_batch_size)
    progress = Progress()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopped.set())
    fitted = fit(values, tables["train"], tables.get("validation"), progress, stopped.is_set)
    _log_scores(fitted, tables, values, progress)
    fitted.model.save(layout.model / NAME)


def _log_as_the_service() -> None:
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="[%(asctime)s %(levelname)s %(thread)d] %(message)s",
        datefmt="%m/%d/%Y %H:%M:%S",
        force=True,
    )


def _configuration(layout: Layout) -> Hyperparameters:
    given = layout.hyperparameters()
    defaults = hyperparameters.defaults()
    logger.info("Reading default configuration: %s", defaults)
    logger.info("Merging with provided configuration from /opt/ml/input/config/hyperparameters.json: %s", given)
    logger.info("Final configuration: %s", {**defaults, **given})
    return hyperparameters.validate(given)


def _check_widths(tables: dict[str, Table]) -> None:
    width = tables["train"].feature_dim
    for name, table in tables.items():
        if table.feature_dim != width:
            raise UserError(f"The {name} data has {table.feature_dim} features, but the train data has {width}.")


def _warn_of_traps(train: Table, mini_batch_size: int) -> None:
    """Log warnings of what the service accepts without a warning, and what costs much of a model's quality."""
    steps = np.diff(train.labels)
    if np.all(steps >= 0) or np.all(steps <= 0):
        logger.warning(
            "THE ROWS ARE SORTED BY THEIR LABEL. The service doesn't shuffle them, and neither is it done here: "
            "training on them may fail. Shuffle them before."
        )
    if left_out := train.rows % mini_batch_size:
        logger.warning(
            "%d of %d rows don't fill a mini-batch of %d: they are NOT TRAINED ON.",
            left_out,
            train.rows,
            mini_batch_size,
        )


def _log_scores(fitted: Fitted, tables: dict[str, Table], values: Hyperparameters, progress: Progress) -> None:
    judged = "validation" if "validation" in tables else "train"
    loss = loss_of(values)
    for name in (judged, "test"):
        if name == "test":
            progress.chosen(fitted.setting.as_json(values.optimizer))
        if name not in tables:
            logger.info("Test data is not provided.")
            continue
        outputs = fitted.model.outputs(tables[name].features).astype(np.float32)
        progress.scored(name, evaluate(outputs, tables[name].labels, fitted.model.threshold, values, loss))


if __name__ == "__main__":
    run(train)
