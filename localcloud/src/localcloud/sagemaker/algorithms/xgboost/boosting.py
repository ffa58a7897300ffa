"""The training of a booster: the library's parameters, the watched metrics, and what happens after each round."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import xgboost

from localcloud.sagemaker.algorithms.xgboost import checkpoints, evaluation, hyperparameters
from localcloud.sagemaker.algorithms.xgboost.checkpoints import SaveCheckpoints, Start
from localcloud.sagemaker.algorithms.xgboost.definitions import MAXIMIZED

Matrices = Mapping[str, xgboost.DMatrix]
History = dict[str, dict[str, list[float]]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EarlyStopping:
    """Stops when a metric of the validation channel hasn't improved for some rounds, and keeps the best model."""

    rounds: int
    metric: str

    def callback(self) -> xgboost.callback.TrainingCallback:
        """Return the library's callback."""
        return xgboost.callback.EarlyStopping(
            rounds=self.rounds,
            data_name="validation",
            metric_name=self.metric,
            maximize=self.metric in MAXIMIZED,
            save_best=True,
        )


@dataclass(frozen=True)
class Plan:
    """How boosters are trained.

    Attributes:
        parameters: The library's parameters.
        num_round: How many rounds are trained.
        own_metrics: The metrics that the library doesn't compute.
        keep_partial: Whether SIGTERM ends the job with its present model.
        early_stopping: None if all rounds are trained.
    """

    parameters: dict[str, Any]
    num_round: int
    own_metrics: list[str]
    keep_partial: bool
    early_stopping: EarlyStopping | None

    @classmethod
    def of(cls, values: hyperparameters.Values, *, validated: bool) -> Plan:
        """Return the plan of a job.

        Args:
            values: The hyperparameters, which are valid.
            validated: Whether there is a validation channel.
        """
        parameters = dict(values)
        num_round = parameters.pop("num_round")
        keep_partial = parameters.pop("save_model_on_termination", "false") == "true"
        rounds = parameters.pop("early_stopping_rounds", None)
        tuned = parameters.pop("_tuning_objective_metric", None)
        metrics = parameters.pop("eval_metric", [])
        if tuned is not None:
            tuned = tuned.partition(":")[2]
            watched: str | None = tuned
            metrics = sorted({*metrics, tuned}) if metrics else [tuned]
        else:
            watched = metrics[-1] if metrics else None
        own = [metric for metric in metrics if metric in evaluation.METRICS]
        builtin = [metric for metric in metrics if metric not in evaluation.METRICS]
        if builtin:
            parameters["eval_metric"] = list(dict.fromkeys(builtin)) if own else builtin
        if "updater" in parameters:
            parameters["updater"] = ",".join(parameters["updater"])
        if rounds:
            _warn_of_early_stopping(watched, validated=validated)
        return cls(
            parameters=parameters,
            num_round=num_round,
            own_metrics=own,
            keep_partial=keep_partial,
            early_stopping=EarlyStopping(rounds, watched) if rounds and watched and validated else None,
        )

    def boost(
        self, matrix: xgboost.DMatrix, watched: Matrices, path: Path, checkpoint_folder: Path | None = None
    ) -> tuple[xgboost.Booster, History]:
        """Train a model, and return it with the values of each metric by watched data set.

        Args:
            matrix: The rows to train on.
            watched: The data sets on which metrics are computed, by name.
            path: The file of the model that is kept on SIGTERM.
            checkpoint_folder: The folder of the checkpoints; None for none.
        """
        start = checkpoints.newest(checkpoint_folder) if checkpoint_folder else Start()
        callbacks: list[xgboost.callback.TrainingCallback] = [_Monitor(start.rounds)]
        if checkpoint_folder:
            checkpoint_folder.mkdir(exist_ok=True)
            callbacks.append(SaveCheckpoints(checkpoint_folder, start))
        if self.keep_partial:
            callbacks.append(_KeepPartialModel(path))
        if self.early_stopping is not None:
            callbacks.append(self.early_stopping.callback())
        history: History = {}
        booster = xgboost.train(
            self.parameters,
            matrix,
            num_boost_round=self.num_round - start.rounds,
            evals=[(each, name) for name, each in watched.items()],
            custom_metric=self._custom_metric(),
            evals_result=history,
            callbacks=callbacks,
            xgb_model=start.model,
            verbose_eval=False,
        )
        return booster, history

    def _custom_metric(self) -> evaluation.CustomMetric | None:
        objective = self.parameters.get("objective", "")
        return evaluation.custom_metric(self.own_metrics, objective) if self.own_metrics else None


def _warn_of_early_stopping(watched: str | None, *, validated: bool) -> None:
    if watched is None:
        logger.warning("early_stopping_rounds without eval_metric DOES NOTHING in this container: all rounds run.")
    elif not validated:
        logger.warning("early_stopping_rounds without a validation channel DOES NOTHING: all rounds run.")


class _Monitor(xgboost.callback.EvaluationMonitor):
    """Prints the metrics of each round; the count includes the rounds of a checkpoint."""

    def __init__(self, rounds_before: int) -> None:
        super().__init__()
        self._rounds_before = rounds_before

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: Any) -> bool:
        return bool(super().after_iteration(model, self._rounds_before + epoch, evals_log))


class _KeepPartialModel(xgboost.callback.TrainingCallback):
    """Saves the model after each round, so that SIGTERM ends the job with exit 0 and a model."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        signal.signal(signal.SIGTERM, self._stop)

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: Any) -> bool:
        checkpoints.save(model, self._path, self._unfinished)
        return False

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._unfinished.unlink(missing_ok=True)
        # Python raises RuntimeError if the signal has interrupted a write.
        with contextlib.suppress(RuntimeError):
            sys.stdout.flush()
        os._exit(0)
