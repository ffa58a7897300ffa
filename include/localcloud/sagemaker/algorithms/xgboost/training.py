"""A training job of the XGBoost container: the process that `training_child` describes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import xgboost

from localcloud.sagemaker.algorithms.xgboost import channels, evaluation, hyperparameters
from localcloud.sagemaker.algorithms.xgboost.definitions import MAXIMIZED
from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.training_child import AlgorithmError, UserError, run

MODEL_NAME = "xgboost-model"

logger = logging.getLogger(__name__)

# Failures of the library that the container tells as the user's; all others are the algorithm's.
_USERS_FAULTS = (
    "label must be in [0,1] for logistic regression",
    "label must be in [0, num_class)",
    "Target is multiclass but average='binary'",
    "feature_names mismatch",
    "Check failed: preds.size() == info.labels_.size()",
    "Check failed: !auc_error AUC: the dataset only contains pos or neg samples",
    "Check failed: base_score > 0.0f && base_score < 1.0f base_score must be in (0,1) for logistic loss",
    "Check failed: label_correct PoissonRegression: label must be nonnegative",
    "Check failed: label_correct TweedieRegression: label must be nonnegative",
    "Parameter reg_lambda should be greater equal to 0",
)


def train(layout: Layout) -> None:
    """Check, read, train and save.

    Raises:
        UserError: hyperparameters, channels or data are at fault.
        AlgorithmError: the library failed.
    """
    values = hyperparameters.validate(layout.hyperparameters())
    data = channels.validate(layout.channels())
    matrices = _matrices(layout, data, weighted=values.pop("csv_weights", 0) == 1)
    for name, matrix in matrices.items():
        logger.info("The %s matrix has %d rows and %d columns", name, matrix.num_row(), matrix.num_col())
    try:
        booster = _boost(layout, values, matrices)
    except xgboost.core.XGBoostError as error:
        if any(fault in str(error) for fault in _USERS_FAULTS):
            raise UserError(str(error)) from error
        told = str(error).partition("\nStack trace:")[0]  # the rest are addresses
        raise AlgorithmError(f"XGB train call failed with exception:\n {told}") from error
    (layout.model / MODEL_NAME).write_bytes(booster.save_raw("ubj"))


def _matrices(layout: Layout, data: dict[str, dict[str, str]], *, weighted: bool) -> dict[str, xgboost.DMatrix]:
    """By channel. The container reads both channels in the format of the first."""
    format_ = channels.data_format(data["train"]["ContentType"])
    if data["train"]["TrainingInputMode"] == "Pipe":
        name = {"csv": "CSV", "parquet": "Parquet", "recordio-protobuf": "RecordIO-Protobuf"}[format_]
        raise UserError(
            f"Pipe mode for {name} is no longer supported. Please use Fast File mode (default) instead. "
            "Set input_mode='File' in your SageMaker Estimator or TrainingInput."
        )
    for name in data:
        folder = layout.channel(name)
        if channels.size(folder) == 0:
            kind = "training" if name == "train" else name
            raise UserError(f"No data in {kind} channel path {layout.container_path(folder)}")
        channels.check_format(folder, format_)
    return {
        name: channels.matrix(
            [layout.channel(name)], format_, weighted=weighted, scratch=layout.temporary / f"links-{name}"
        )
        for name in sorted(data)
    }


def _boost(layout: Layout, values: dict[str, Any], matrices: dict[str, xgboost.DMatrix]) -> xgboost.Booster:
    num_round = values.pop("num_round")
    keep_partial = values.pop("save_model_on_termination", "false") == "true"
    early_stopping_rounds = values.pop("early_stopping_rounds", None)
    tuned = values.pop("_tuning_objective_metric", None)
    if "_kfold" in values:
        raise UserError("Hyperparameter _kfold: cross validation isn't done by this stand-in")
    values.pop("use_dask_gpu_training", None)
    metrics = values.pop("eval_metric", None)
    if tuned is not None:
        metrics = sorted({*(metrics or []), tuned.partition(":")[2]})
    own = [metric for metric in metrics or [] if metric in evaluation.METRICS]
    builtin = [metric for metric in metrics or [] if metric not in evaluation.METRICS]
    if builtin:
        values["eval_metric"] = builtin
    if "updater" in values:
        values["updater"] = ",".join(values["updater"])
    callbacks: list[xgboost.callback.TrainingCallback] = [xgboost.callback.EvaluationMonitor()]
    if keep_partial:
        callbacks.append(_KeepPartialModel(layout.model / MODEL_NAME))
    if early_stopping_rounds and "validation" in matrices:
        callbacks += _early_stopping(early_stopping_rounds, tuned, metrics)
    return xgboost.train(
        values,
        matrices["train"],
        num_boost_round=num_round,
        evals=[(matrix, name) for name, matrix in matrices.items()],
        custom_metric=evaluation.custom_metric(own) if own else None,
        callbacks=callbacks,
        verbose_eval=False,
    )


def _early_stopping(
    rounds: int, tuned: str | None, metrics: list[str] | None
) -> list[xgboost.callback.TrainingCallback]:
    if metrics is None:
        logger.warning("early_stopping_rounds without eval_metric DOES NOTHING in this container: all rounds run.")
        return []
    watched = metrics[-1] if tuned is None else tuned.partition(":")[2]
    return [
        xgboost.callback.EarlyStopping(
            rounds=rounds,
            data_name="validation",
            metric_name=watched,
            maximize=watched in MAXIMIZED,
            save_best=True,
        )
    ]


class _KeepPartialModel(xgboost.callback.TrainingCallback):
    """Saves the model after each round, so that SIGTERM ends the job with exit 0 and a model."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        signal.signal(signal.SIGTERM, self._stop)

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: Any) -> bool:
        self._unfinished.write_bytes(model.save_raw("ubj"))
        self._unfinished.rename(self._path)
        return False

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._unfinished.unlink(missing_ok=True)
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(run(train))
