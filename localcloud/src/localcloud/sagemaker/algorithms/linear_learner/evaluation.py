"""The metrics of a model on labelled rows, named and computed as in the service's log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.losses import Loss
from localcloud.sagemaker.algorithms.linear_learner.table import Floats


@dataclass(frozen=True)
class Metric:
    """A metric's name and value; less of the kind ``loss`` is better, and more of the kind ``score``."""

    name: str
    value: float
    kind: str


def evaluate(
    outputs: Floats, labels: Floats, threshold: float, hyperparameters: Hyperparameters, loss: Loss
) -> list[Metric]:
    """Return all metrics, the objective first.

    Args:
        outputs: Rows x outputs, in the unit of the labels.
        labels: One for each row.
        threshold: The outputs of a binary classifier above it have label 1.
        hyperparameters: The hyperparameters; they choose the metrics.
        loss: The objective.
    """
    objective = Metric(f"{loss.name}_objective", float(loss.mean(outputs, labels)[0]), "loss")
    if hyperparameters.predictor_type == "regressor":
        return [objective, *_regression(outputs[:, 0], labels)]
    if hyperparameters.predictor_type == "binary_classifier":
        return [objective, *_binary(outputs[:, 0], labels, threshold, hyperparameters.f_beta)]
    return [objective, *_multiclass(outputs, labels, objective.value, hyperparameters)]


def _regression(predictions: Floats, labels: Floats) -> list[Metric]:
    errors = predictions.astype(np.float64) - labels
    squared, spread = float(np.mean(errors**2)), float(labels.var(dtype=np.float64))
    return [
        Metric("mse", squared, "loss"),
        Metric("absolute_loss", float(np.mean(np.abs(errors))), "loss"),
        Metric("rmse", float(np.sqrt(squared)), "loss"),
        Metric("r2", 1 - squared / spread if spread else float("nan"), "score"),
        Metric("mae", float(np.mean(np.abs(errors))), "loss"),
    ]


def _binary(outputs: Floats, labels: Floats, threshold: float, beta: float) -> list[Metric]:
    predicted, actual = outputs > threshold, labels > 0.5
    hits = float(np.sum(predicted & actual))
    precision = hits / max(float(predicted.sum()), 1.0)
    recall = hits / max(float(actual.sum()), 1.0)
    return [
        Metric("binary_classification_accuracy", float(np.mean(predicted == actual)), "score"),
        Metric(f"binary_f_{beta:.3f}", _f(precision, recall, beta), "score"),
        Metric("precision", precision, "score"),
        Metric("recall", recall, "score"),
        Metric("roc_auc_score", roc_auc(outputs, actual), "score"),
    ]


def roc_auc(outputs: Floats, actual: Floats) -> float:
    """Return the area under the ROC curve, by the ranks of the positives; NaN if there is only one class.

    Args:
        outputs: The model's output of each row.
        actual: Whether each row is positive, 1 or 0.
    """
    positives, negatives = float(actual.sum()), float(len(actual) - actual.sum())
    if not positives or not negatives:
        return float("nan")
    ranked = np.sort(outputs)
    # Equal outputs share the mean of their ranks.
    ranks = (np.searchsorted(ranked, outputs, "left") + np.searchsorted(ranked, outputs, "right") + 1) / 2
    return float((ranks[actual > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _multiclass(outputs: Floats, labels: Floats, log_loss: float, hyperparameters: Hyperparameters) -> list[Metric]:
    classes, k, beta = outputs.shape[1], hyperparameters.accuracy_top_k, hyperparameters.f_beta
    actual, predicted = labels.astype(np.intp), outputs.argmax(axis=1)
    # How many classes have a larger output than the right one.
    better = (outputs > outputs[np.arange(len(actual)), actual][:, None]).sum(axis=1)
    hits = np.bincount(actual[predicted == actual], minlength=classes).astype(np.float64)
    recall = hits / np.maximum(np.bincount(actual, minlength=classes), 1)
    precision = hits / np.maximum(np.bincount(predicted, minlength=classes), 1)
    present = np.bincount(actual, minlength=classes) > 0
    f = [_f(each, other, beta) for each, other in zip(precision[present], recall[present], strict=True)]
    return [
        Metric("multiclass_accuracy", float(np.mean(predicted == actual)), "score"),
        Metric(f"multiclass_top_k_accuracy_{k}", float(np.mean(better < k)), "score"),
        Metric("dcg", float(np.mean(1 / np.log2(better + 2))), "score"),
        Metric("macro_recall", float(recall[present].mean()), "score"),
        Metric("macro_precision", float(precision[present].mean()), "score"),
        Metric(f"macro_f_{beta:.3f}", float(np.mean(f)), "score"),
        Metric("multiclass_balanced_accuracy", float(recall[present].mean()), "score"),
        Metric("multiclass_log_loss", log_loss, "score"),
    ]


def _f(precision: float, recall: float, beta: float) -> float:
    denominator = beta**2 * precision + recall
    return float((1 + beta**2) * precision * recall / denominator) if denominator else 0.0
