"""The metrics equal those of scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as reference
from tests.sagemaker.algorithms.linear_learner.learning import Array

from localcloud.sagemaker.algorithms.linear_learner.evaluation import Metric, evaluate
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import validate
from localcloud.sagemaker.algorithms.linear_learner.losses import loss_of

RANDOM = np.random.default_rng(0)


def metrics(kind: str, outputs: Array, labels: Array, threshold: float = 0.0, **given: str) -> dict[str, Metric]:
    values = validate({"predictor_type": kind, "num_classes": "5", **given})
    found = evaluate(outputs.astype(np.float32), labels.astype(np.float32), threshold, values, loss_of(values))
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def test_the_metrics_of_a_binary_classifier_are_scikit_learns() -> None:
    labels = RANDOM.integers(2, size=300)
    outputs = (labels + RANDOM.normal(size=300)).round(1)[:, None]
    found = metrics("binary_classifier", outputs, labels, threshold=0.35, f_beta="2.0")
    predicted = outputs[:, 0].astype(np.float32) > 0.35
    probability = 1 / (1 + np.exp(-outputs[:, 0]))
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {
            "binary_classification_cross_entropy_objective": reference.log_loss(labels, probability),
            "binary_classification_accuracy": reference.accuracy_score(labels, predicted),
            "binary_f_2.000": reference.fbeta_score(labels, predicted, beta=2),
            "precision": reference.precision_score(labels, predicted),
            "recall": reference.recall_score(labels, predicted),
            "roc_auc_score": reference.roc_auc_score(labels, outputs[:, 0]),
        },
        rel=1e-5,
    )
    assert {each.kind for name, each in found.items() if name.endswith("_objective")} == {"loss"}
    assert {each.kind for name, each in found.items() if not name.endswith("_objective")} == {"score"}


def test_the_metrics_of_a_multiclass_classifier_are_scikit_learns() -> None:
    labels = RANDOM.integers(5, size=400)
    outputs = np.eye(5)[labels] * 1.5 + RANDOM.normal(size=(400, 5))
    found = metrics("multiclass_classifier", outputs, labels, accuracy_top_k="2", f_beta="0.5")
    predicted = outputs.argmax(axis=1)
    probability = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    log_loss = reference.log_loss(labels, probability)
    recall = reference.recall_score(labels, predicted, average="macro")
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {
            "multiclass_cross_entropy_objective": log_loss,
            "multiclass_accuracy": reference.accuracy_score(labels, predicted),
            "multiclass_top_k_accuracy_2": reference.top_k_accuracy_score(labels, outputs, k=2),
            "dcg": reference.dcg_score(np.eye(5)[labels], outputs),
            "macro_recall": recall,
            "macro_precision": reference.precision_score(labels, predicted, average="macro"),
            "macro_f_0.500": reference.fbeta_score(labels, predicted, beta=0.5, average="macro"),
            "multiclass_balanced_accuracy": recall,
            "multiclass_log_loss": log_loss,
        },
        rel=1e-5,
    )


def test_the_metrics_of_a_regressor_are_scikit_learns() -> None:
    labels = RANDOM.normal(size=200) * 10
    outputs = (labels + RANDOM.normal(size=200))[:, None]
    found = metrics("regressor", outputs, labels)
    squared = reference.mean_squared_error(labels, outputs[:, 0])
    absolute = reference.mean_absolute_error(labels, outputs[:, 0])
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {
            "mse_objective": squared,
            "mse": squared,
            "absolute_loss": absolute,
            "rmse": np.sqrt(squared),
            "r2": reference.r2_score(labels, outputs[:, 0]),
            "mae": absolute,
        },
        rel=1e-5,
    )
    assert [name for name, each in found.items() if each.kind == "score"] == ["r2"]


@pytest.mark.parametrize("loss", ["absolute_loss", "quantile_loss", "huber_loss", "eps_insensitive_squared_loss"])
def test_the_objective_is_named_by_its_loss(loss: str) -> None:
    found = metrics("regressor", np.zeros((3, 1)), np.array([1.0, 2.0, 4.0]), loss=loss)
    assert next(iter(found)) == f"{loss}_objective"
    assert found["mse"].value == 7


def test_a_metric_that_needs_two_classes_is_nan_for_one() -> None:
    found = metrics("binary_classifier", np.array([[1.0], [2.0]]), np.array([1, 1]))
    assert np.isnan(found["roc_auc_score"].value)
    assert found["recall"].value == 1
    constant = metrics("regressor", np.array([[1.0], [2.0]]), np.array([1, 1]))
    assert np.isnan(constant["r2"].value)


def test_a_class_without_rows_is_left_out_of_the_means() -> None:
    outputs = np.eye(5)[[0, 1, 1]]
    found = metrics("multiclass_classifier", outputs, np.array([0, 1, 1]))
    assert found["macro_recall"].value == found["macro_f_1.000"].value == 1


def test_beta_changes_the_f_score_only() -> None:
    values = replace(validate({"predictor_type": "binary_classifier"}), f_beta=0.5)
    names = [each.name for each in evaluate(np.zeros((2, 1)), np.array([0, 1]), 0, values, loss_of(values))]
    assert "binary_f_0.500" in names
