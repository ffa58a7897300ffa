"""Training: scale the rows, train all models in parallel, choose the best model of the best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from localcloud.sagemaker.algorithms.linear_learner.design import design
from localcloud.sagemaker.algorithms.linear_learner.grid import Setting, settings
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.losses import loss_of
from localcloud.sagemaker.algorithms.linear_learner.model import LinearModel
from localcloud.sagemaker.algorithms.linear_learner.parallel import ParallelModels, RowWeights
from localcloud.sagemaker.algorithms.linear_learner.progress import Progress
from localcloud.sagemaker.algorithms.linear_learner.scaling import Scaling
from localcloud.sagemaker.algorithms.linear_learner.selection import (
    NEVER,
    Choice,
    EarlyStopping,
    Judge,
    Losses,
    by_loss,
)
from localcloud.sagemaker.algorithms.linear_learner.table import Floats, Table
from localcloud.sagemaker.jobs.child import UserError


@dataclass(frozen=True)
class Fitted:
    """The best model, and its setting."""

    model: LinearModel
    setting: Setting


@dataclass(frozen=True)
class _Best:
    """The weights of all models after the best epoch, and the choice among them."""

    weights: Floats
    choice: Choice


def fit(
    hyperparameters: Hyperparameters,
    train: Table,
    validation: Table | None,
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
) -> Fitted:
    """Train models, and return the best.

    Args:
        hyperparameters: The hyperparameters.
        train: The rows to train on, checked.
        validation: The rows to choose by, checked; None to choose by the training rows.
        progress: Called for each epoch.
        stopped: Called after each mini-batch; once it returns True, training ends with the best model so far.

    Raises:
        UserError: There are fewer rows than a mini-batch needs, or the model isn't finite.
    """
    if train.rows < hyperparameters.mini_batch_size:
        raise UserError(
            "No training data processed. Either the training channel is empty or the mini-batch size is too high. "
            "Verify that training data contains non-empty files and the mini-batch size is less than the number of "
            f"records per training host. (mini_batch_size is {hyperparameters.mini_batch_size}, there are {train.rows} "
            "records.)"
        )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a model that diverges is never chosen
        return _Fit(hyperparameters, train, validation, progress).run(stopped)


class _Fit:
    def __init__(
        self, hyperparameters: Hyperparameters, train: Table, validation: Table | None, progress: Progress
    ) -> None:
        self._hyperparameters = hyperparameters
        self._progress = progress
        self._loss = loss_of(hyperparameters)
        self._scaling = Scaling.of(train, hyperparameters)
        self._train = design(train, self._scaling)
        self._labels = self._scaling.labels(train.labels)
        self._settings = settings(
            hyperparameters,
            columns=self._train.columns,
            negatives_per_positive=_negatives_per_positive(train.labels),
        )
        self._models = ParallelModels(hyperparameters, self._settings, self._loss, self._train.columns)
        self._row_weights = _row_weights(hyperparameters, self._settings, train.labels)
        self._validated = validation is not None
        judged, rows = (train, self._train) if validation is None else (validation, design(validation, self._scaling))
        self._judge = Judge(hyperparameters, rows, judged.labels, self._scaling.unscaled_labels)

    def run(self, stopped: Callable[[], bool]) -> Fitted:
        best = self._best_epoch(stopped)
        if not np.isfinite(best.choice.loss):
            raise _diverged("no model's loss stayed finite")
        self._models.weights[:] = best.weights
        # Without validation data, epochs are compared by the loss, and the models of the best one by the criterion.
        choice = best.choice if self._validated else self._judge.choose(self._models, self._judge.losses(self._models))
        return Fitted(self._model(choice), self._settings[choice.number])

    def _best_epoch(self, stopped: Callable[[], bool]) -> _Best:
        stopping = EarlyStopping(
            self._hyperparameters.early_stopping_patience, self._hyperparameters.early_stopping_tolerance
        )
        best = _Best(self._models.weights.copy(), NEVER)
        for epoch in range(self._hyperparameters.epochs):
            started = time.perf_counter()
            losses = self._models.epoch(self._train, self._labels, self._row_weights, stopped)
            self._progress.trained(epoch, f"{self._loss.name}_objective", losses)
            choice = self._choose(epoch, losses)
            improved = stopping.improves(choice.loss)
            if choice.is_better_than(best.choice):
                best = _Best(self._models.weights.copy(), choice)
            self._progress.judged(epoch, self._criterion(), choice.value, improved, stopping.waited)
            self._progress.ended(
                epoch, self._hyperparameters.epochs, self._train.rows / (time.perf_counter() - started)
            )
            if stopping.over or stopped():
                break
        return best

    def _choose(self, epoch: int, train_losses: Losses) -> Choice:
        if not self._validated:
            return by_loss(train_losses)
        losses = self._judge.losses(self._models)
        self._progress.validated(epoch, f"{self._loss.name}_objective", losses)
        return self._judge.choose(self._models, losses)

    def _criterion(self) -> str:
        named = self._judge.named if self._validated else None
        return f"{self._loss.name}_objective" if named is None else f"sampled_{named}"

    def _model(self, choice: Choice) -> LinearModel:
        columns = slice(choice.number * self._loss.outputs, (choice.number + 1) * self._loss.outputs)
        weights, bias = self._scaling.unscaled_model(
            self._models.weights[:-1, columns], self._models.weights[-1, columns]
        )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise _diverged("in the units of the data, the weights are too large for their 32 bits")
        return LinearModel(
            predictor_type=self._hyperparameters.predictor_type,
            loss=self._hyperparameters.loss,
            weights=np.ascontiguousarray(weights),
            bias=bias,
            threshold=choice.threshold,
        )


def _diverged(how: str) -> UserError:
    return UserError(
        f"Training diverged: {how}. Verify that features are of a moderate size, leave normalize_data on, or lower "
        "the learning_rate."
    )


def _negatives_per_positive(labels: Floats) -> float:
    positives = float(np.sum(labels > 0.5))
    return (len(labels) - positives) / positives if positives else 1.0


def _row_weights(hyperparameters: Hyperparameters, each: list[Setting], labels: Floats) -> RowWeights | None:
    """Return the weight of rows by their labels; None if all rows have the weight 1."""
    if hyperparameters.predictor_type == "binary_classifier":
        positive = np.array([setting.positive_weight for setting in each], np.float32)
        if np.all(positive == 1):
            return None
        return lambda batch: 1 + batch[:, None] * (positive - 1)
    if hyperparameters.predictor_type == "multiclass_classifier" and hyperparameters.balance_multiclass_weights:
        counts = np.bincount(labels.astype(np.intp), minlength=hyperparameters.num_classes)
        by_class = (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)
        return lambda batch: by_class[batch.astype(np.intp)][:, None]
    return None
