"""The log: each line with a metric matches one of the service's expressions."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from tests.sagemaker.algorithms.linear_learner.learning import DATA, KINDS, trained

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.algorithms.linear_learner.definitions import METRICS
from localcloud.sagemaker.algorithms.linear_learner.evaluation import evaluate
from localcloud.sagemaker.algorithms.linear_learner.grid import Setting
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import validate
from localcloud.sagemaker.algorithms.linear_learner.losses import loss_of
from localcloud.sagemaker.algorithms.linear_learner.progress import Progress
from localcloud.sagemaker.jobs.metrics import FinalMetrics

OF_KIND = {
    "binary_classifier": {
        *("binary_classification_accuracy", "binary_f_beta", "precision", "recall", "roc_auc_score"),
    },
    "multiclass_classifier": {
        *("multiclass_accuracy", "multiclass_top_k_accuracy", "dcg", "macro_recall", "macro_precision", "macro_f_beta"),
    },
    "regressor": {"mse", "absolute_loss"},
}


def read(lines: list[str]) -> dict[str, float]:
    metrics = FinalMetrics(METRICS)
    for line in lines:
        metrics.read(f"[11/24/2020 18:53:57 INFO 140513285547840] {line}", 1.0)
    return {each["MetricName"]: each["Value"] for each in metrics.as_answer()}


def test_there_are_at_most_40_definitions() -> None:
    assert len({each.name for each in METRICS}) == len(METRICS) <= 40


@pytest.mark.parametrize(
    "image",
    [
        "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1",
        "174872318107.dkr.ecr.us-west-2.amazonaws.com/linear-learner:latest",
        "linear-learner@sha256:1cc553330fc7ab939e72cc0c0ed4bed61bbb2e7b33b4f838cb0a146d0bb5da9c",
    ],
)
def test_the_algorithm_is_found_by_its_image(image: str) -> None:
    algorithm = catalog.by_image(image)
    assert algorithm is not None
    assert algorithm.metrics == METRICS


def test_lines_of_the_service_itself_match() -> None:
    # From a capture of a job in 2020.
    objective = "binary_classification_cross_entropy_objective <loss>"
    assert read(
        [
            f"#quality_metric: host=algo-1, epoch=0, train {objective}=0.595682421003",
            f"#quality_metric: host=algo-1, epoch=14, validation {objective}=0.202477744686",
            "#early_stopping_criteria_metric: host=algo-1, epoch=14, criteria=sampled_accuracy, value=0.994956068988",
            "#progress_metric: host=algo-1, completed 100 % of epochs",
            "#throughput_metric: host=algo-1, train throughput=22743.7031111 records/second",
            "#validation_score (algo-1) : ('binary_classification_accuracy', 0.9947933615359583)",
            f"#quality_metric: host=algo-1, validation {objective}=0.0373249375545",
            "#quality_metric: host=algo-1, validation binary_f_1.000 <score>=0.994832041344",
            f"#quality_metric: host=algo-1, test {objective}=0.0340741023952",
        ]
    ) == {
        "train:objective_loss": 0.595682421003,
        "validation:objective_loss": 0.202477744686,
        "train:progress": 100,
        "train:throughput": 22743.7031111,
        "validation:objective_loss:final": 0.0373249375545,
        "validation:binary_f_beta": 0.994832041344,
        "test:objective_loss": 0.0340741023952,
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channel", ["validation", "test"])
def test_all_scores_of_the_chosen_model_are_metrics(kind: str, channel: str, caplog: pytest.LogCaptureFixture) -> None:
    data, values = DATA[kind](), validate({"predictor_type": kind, **KINDS[kind]})
    model = trained(data, kind, epochs=1).model
    metrics = evaluate(model.outputs(data.features), data.labels, model.threshold, values, loss_of(values))
    with caplog.at_level(logging.INFO):
        Progress().scored(channel, metrics)
    objective = "test:objective_loss" if channel == "test" else "validation:objective_loss:final"
    found = read(caplog.messages)
    assert set(found) == {objective, *(f"{channel}:{name}" for name in OF_KIND[kind])}
    assert found[objective] == metrics[0].value
    assert all(np.isfinite(value) for value in found.values())


def test_the_settings_are_logged_as_by_the_service() -> None:
    setting = Setting(0.1, 0.0001, 0.0, 100, 0.99, 1e-05, 2.0)
    assert setting.as_json("adam") == (
        '{"optimizer": "adam", "learning_rate": 0.1, "wd": 0.0001, "l1": 0.0, "lr_scheduler_step": 100, '
        '"lr_scheduler_factor": 0.99, "lr_scheduler_minimum_lr": 1e-05}'
    )
