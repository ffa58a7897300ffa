"""Metrics read from log lines by the service's expressions."""

from __future__ import annotations

import pytest

from localcloud.sagemaker.algorithms.xgboost.definitions import METRICS
from localcloud.sagemaker.jobs.metrics import FinalMetrics, MetricDefinition


def test_the_last_value_of_a_metric_counts() -> None:
    metrics = FinalMetrics(METRICS)
    metrics.read("[0]\ttrain-auc:0.81970\tvalidation-auc:0.78840", 1.0)
    metrics.read("[2026-01-01:INFO] validation-auc:0.1 is no metric line", 2.0)
    metrics.read("[1]\ttrain-auc:0.9\tvalidation-auc:8e-1", 3.0)
    assert metrics.as_answer() == [
        {"MetricName": "train:auc", "Value": 0.9, "Timestamp": 3.0},
        {"MetricName": "validation:auc", "Value": 0.8, "Timestamp": 3.0},
    ]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_value_that_is_no_number_is_no_metric(value: str) -> None:
    metrics = FinalMetrics(METRICS)
    metrics.read(f"[0]\ttrain-logloss:{value}", 1.0)
    assert metrics.as_answer() == []


def test_an_expression_does_not_match_a_longer_name() -> None:
    metrics = FinalMetrics(METRICS)
    metrics.read("[0]\ttrain-mlogloss:0.7\ttrain-aucpr:0.5", 1.0)
    assert [each["MetricName"] for each in metrics.as_answer()] == ["train:aucpr", "train:mlogloss"]


def test_there_are_at_most_40_definitions() -> None:
    assert len({each.name for each in METRICS}) == len(METRICS) == 40


def test_at_most_40_metrics_are_shown_and_a_requests_own_take_precedence() -> None:
    own = [MetricDefinition(f"own{number}", "own=(.*)") for number in range(39)]
    metrics = FinalMetrics([*METRICS, *own])
    metrics.read("[0]\ttrain-auc:0.9\tvalidation-auc:0.8", 1.0)
    metrics.read("own=7", 1.0)
    shown = [each["MetricName"] for each in metrics.as_answer()]
    assert len(shown) == 40
    assert {each.name for each in own} < set(shown)
