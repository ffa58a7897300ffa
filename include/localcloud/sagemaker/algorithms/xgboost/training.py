"""A training job of the XGBoost container: the process that `job_child` describes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import xgboost

from localcloud.sagemaker.algorithms.xgboost import channels, evaluation, hyperparameters
from localcloud.sagemaker.algorithms.xgboost.cross_validation import CrossValidation
from localcloud.sagemaker.algorithms.xgboost.definitions import MAXIMIZED
from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.job_child import AlgorithmError, UserError, run

MODEL_NAME = "xgboost-model"

Channels = dict[str, dict[str, str]]
Matrices = dict[str, xgboost.DMatrix]

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
    weighted = values.pop("csv_weights", 0) == 1
    matrices = _matrices(layout, data, weighted=weighted)
    for name, matrix in matrices.items():
        logger.info("The %s matrix has %d rows and %d columns", name, matrix.num_row(), matrix.num_col())
    folds, repeats = values.pop("_kfold", None), values.pop("_num_cv_round", 1)
    plan = Plan.of(values, validated="validation" in matrices)
    try:
        if folds is None:
            path = layout.model / MODEL_NAME
            path.write_bytes(plan.boost(matrices["train"], matrices, path)[0].save_raw("ubj"))
        else:
            together = _matrix(layout, data, sorted(data), weighted=weighted)
            _cross_validate(layout, plan, matrices, together, folds=folds, repeats=repeats)
    except xgboost.core.XGBoostError as error:
        if any(fault in str(error) for fault in _USERS_FAULTS):
            raise UserError(str(error)) from error
        told = str(error).partition("\nStack trace:")[0]  # the rest are addresses
        raise AlgorithmError(f"XGB train call failed with exception:\n {told}") from error


def _matrices(layout: Layout, data: Channels, *, weighted: bool) -> Matrices:
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
    return {name: _matrix(layout, data, [name], weighted=weighted) for name in sorted(data)}


def _matrix(layout: Layout, data: Channels, names: list[str], *, weighted: bool) -> xgboost.DMatrix:
    """The rows of the named channels together."""
    return channels.matrix(
        [layout.channel(name) for name in names],
        channels.data_format(data["train"]["ContentType"]),
        weighted=weighted,
        scratch=layout.temporary / f"links-{'-'.join(names)}{len(names)}",
    )


def _cross_validate(
    layout: Layout, plan: Plan, matrices: Matrices, together: xgboost.DMatrix, *, folds: int, repeats: int
) -> None:
    objective = plan.parameters.get("objective", "")
    validation = CrossValidation(
        folds=folds,
        repeats=repeats,
        classification="num_class" in plan.parameters or objective.startswith("binary:"),
        seed=plan.parameters.get("seed", 0),
    )
    boosters, lines = validation.run(
        together,
        lambda part, number: plan.boost(part, matrices, layout.model / f"{MODEL_NAME}-{number}"),
        layout.output_data / "predictions.csv",
    )
    for line in lines:
        sys.stdout.write(f"[{plan.num_round}]{line}\n")
    for number, booster in enumerate(boosters):
        (layout.model / f"{MODEL_NAME}-{number}").write_bytes(booster.save_raw("ubj"))


@dataclass(frozen=True)
class Plan:
    """How boosters are trained; ``parameters`` are the library's."""

    parameters: dict[str, Any]
    num_round: int
    own_metrics: list[str]
    keep_partial: bool
    early_stopping: EarlyStopping | None

    @classmethod
    def of(cls, values: hyperparameters.Values, *, validated: bool) -> Plan:
        """Of validated hyperparameters; ``validated``: there is a validation channel."""
        parameters = dict(values)
        num_round = parameters.pop("num_round")
        keep_partial = parameters.pop("save_model_on_termination", "false") == "true"
        rounds = parameters.pop("early_stopping_rounds", None)
        tuned = parameters.pop("_tuning_objective_metric", None)
        parameters.pop("use_dask_gpu_training", None)
        metrics = parameters.pop("eval_metric", [])
        if rounds and not (metrics or tuned):
            logger.warning("early_stopping_rounds without eval_metric DOES NOTHING in this container: all rounds run.")
        if tuned is not None:
            tuned = tuned.partition(":")[2]
            metrics = sorted({*metrics, tuned})
        watched = tuned or (metrics[-1] if metrics else None)
        if builtin := [metric for metric in metrics if metric not in evaluation.METRICS]:
            parameters["eval_metric"] = builtin
        if "updater" in parameters:
            parameters["updater"] = ",".join(parameters["updater"])
        return cls(
            parameters=parameters,
            num_round=num_round,
            own_metrics=[metric for metric in metrics if metric in evaluation.METRICS],
            keep_partial=keep_partial,
            early_stopping=EarlyStopping(rounds, watched) if rounds and watched and validated else None,
        )

    def boost(
        self, matrix: xgboost.DMatrix, watched: Matrices, path: Path
    ) -> tuple[xgboost.Booster, dict[str, dict[str, list[float]]]]:
        """Train on a matrix: the model, and each metric's values by watched data set.

        ``path`` is where a model is kept on SIGTERM.
        """
        callbacks: list[xgboost.callback.TrainingCallback] = [xgboost.callback.EvaluationMonitor()]
        if self.keep_partial:
            callbacks.append(_KeepPartialModel(path))
        if self.early_stopping is not None:
            callbacks.append(self.early_stopping.callback())
        history: dict[str, dict[str, list[float]]] = {}
        booster = xgboost.train(
            self.parameters,
            matrix,
            num_boost_round=self.num_round,
            evals=[(each, name) for name, each in watched.items()],
            custom_metric=evaluation.custom_metric(self.own_metrics) if self.own_metrics else None,
            evals_result=history,
            callbacks=callbacks,
            verbose_eval=False,
        )
        return booster, history


@dataclass(frozen=True)
class EarlyStopping:
    """Watches a metric on the validation channel, and keeps the best model."""

    rounds: int
    metric: str

    def callback(self) -> xgboost.callback.TrainingCallback:
        return xgboost.callback.EarlyStopping(
            rounds=self.rounds,
            data_name="validation",
            metric_name=self.metric,
            maximize=self.metric in MAXIMIZED,
            save_best=True,
        )


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
