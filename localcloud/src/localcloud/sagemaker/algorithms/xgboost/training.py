"""A training job of the XGBoost container: the process that `jobs.child` describes."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xgboost

from localcloud.sagemaker.algorithms.xgboost import channels, content_types, hyperparameters, matrices
from localcloud.sagemaker.algorithms.xgboost.boosting import Matrices, Plan
from localcloud.sagemaker.algorithms.xgboost.cross_validation import CrossValidation
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError, run
from localcloud.sagemaker.jobs.container import ChannelConfiguration, Layout

MODEL_NAME = "xgboost-model"

logger = logging.getLogger(__name__)

# Failures of the library that the container reports as the user's; all others are the algorithm's.
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
    """Check the job, read its data, train and save the model.

    Raises:
        UserError: Hyperparameters, channels or data are at fault.
        AlgorithmError: The library failed.
    """
    values = hyperparameters.validate(layout.hyperparameters())
    data = _Data(layout, channels.validate(layout.channels()), weighted=values.pop("csv_weights", 0) == 1)
    if values.pop("use_dask_gpu_training", "false") == "true":
        raise UserError(data.unfit_for_gpus())
    folds, repeats = values.pop("_kfold", None), values.pop("_num_cv_round", 1)
    read = data.matrices(together=folds is not None)
    for name, matrix in read.items():
        logger.info("The %s matrix has %d rows and %d columns", name, matrix.num_row(), matrix.num_col())
    together = read.pop("together", read["train"])
    plan = Plan.of(values, validated="validation" in read)
    checkpoints = layout.checkpoints if layout.checkpoints.is_dir() else None
    try:
        if folds is None:
            path = layout.model / MODEL_NAME
            path.write_bytes(plan.boost(read["train"], read, path, checkpoints)[0].save_raw("ubj"))
        else:
            _cross_validate(layout, plan, read, together, folds=folds, repeats=repeats, checkpoints=checkpoints)
    except Exception as error:
        if any(fault in str(error) for fault in _USERS_FAULTS):
            raise UserError(str(error)) from error
        message = str(error).partition("\nStack trace:")[0]  # the rest are addresses
        raise AlgorithmError(f"XGB train call failed with exception:\n {message}") from error


@dataclass(frozen=True)
class _Data:
    """The job's channels, which the container all reads in the format of ``train``."""

    layout: Layout
    configured: dict[str, ChannelConfiguration]
    weighted: bool

    @cached_property
    def format(self) -> str:
        return content_types.data_format(self.configured["train"]["ContentType"])

    def matrices(self, *, together: bool) -> dict[str, xgboost.DMatrix]:
        """Return a matrix for each channel by name, and with ``together`` one of all rows by that name.

        Raises:
            UserError: A channel is empty, or can't be read.
        """
        names: list[str] = [name for name in ("train", "validation") if name in self.configured]
        self._refuse_pipes()
        if len(names) == 2:
            channels.warn_of_duplicates(*(self.layout.channel(name) for name in names))
        filled = [name for name in names if channels.size(self.layout.channel(name)) > 0]
        for name in filled:
            channels.check_format(self.layout.channel(name), self.format)
        read = {name: matrix for name in filled if (matrix := self._read([name])) is not None}
        for name in names:
            if name not in read:
                kind = "training" if name == "train" else name
                raise UserError(
                    f"No data in {kind} channel path {self.layout.container_path(self.layout.channel(name))}"
                )
        if together and len(names) == 2:
            both = self._read(names)
            if both is not None:
                read["together"] = both
        return read

    def unfit_for_gpus(self) -> str:
        """Return why training with Dask is refused: it needs an instance with GPUs."""
        faults = ["Dask training is only available for `hist` (or `gpu_hist`) training on GPU instances."]
        if self.configured["train"]["TrainingInputMode"] == "Pipe":
            faults.append("Dask training is not supported for pipe mode input. Please use File mode.")
        if self.format not in ("csv", "parquet"):
            faults.append("Dask training is only supported for CSV and Parquet input.")
        return f"Some configurations unsuitable for Dask GPU training were found: {'. '.join(faults)}"

    def _refuse_pipes(self) -> None:
        if self.configured["train"]["TrainingInputMode"] == "Pipe":
            name = {"csv": "CSV", "parquet": "Parquet", "recordio-protobuf": "RecordIO-Protobuf"}[self.format]
            raise UserError(
                f"Pipe mode for {name} is no longer supported. Please use Fast File mode (default) instead. "
                "Set input_mode='File' in your SageMaker Estimator or TrainingInput."
            )

    def _read(self, names: list[str]) -> xgboost.DMatrix | None:
        return matrices.read(
            [self.layout.channel(name) for name in names],
            self.format,
            weighted=self.weighted,
            scratch=self.layout.temporary / "sagemaker_xgboost_input_data",
        )


def _cross_validate(
    layout: Layout,
    plan: Plan,
    watched: Matrices,
    together: xgboost.DMatrix,
    *,
    folds: int,
    repeats: int,
    checkpoints: Path | None,
) -> None:
    def boost(part: xgboost.DMatrix, number: int) -> Any:
        return plan.boost(
            part,
            watched,
            layout.model / f"{MODEL_NAME}-{number}",
            checkpoints / f"model-{number}" if checkpoints else None,
        )

    objective, classes = plan.parameters.get("objective", ""), "num_class" in plan.parameters
    if not (objective or classes):
        raise ValueError("'NoneType' object has no attribute 'startswith': _kfold needs an objective or num_class")
    validation = CrossValidation(
        folds=folds,
        repeats=repeats,
        classification=classes or objective.startswith("binary:"),
        seed=plan.parameters.get("seed", 0),
    )
    boosters, lines = validation.run(together, boost, layout.output_data / "predictions.csv")
    for line in lines:
        sys.stdout.write(f"[{plan.num_round}]{line}\n")
    for number, booster in enumerate(boosters):
        (layout.model / f"{MODEL_NAME}-{number}").write_bytes(booster.save_raw("ubj"))


if __name__ == "__main__":
    run(train)
