"""Selected keys in place of bare scores (examples of the recorded container)."""

from __future__ import annotations

import math

import pytest

from localcloud.sagemaker.algorithms.xgboost.selection import Selection


def test_a_binary_classifier_has_labels_and_probabilities() -> None:
    selection = Selection("Probabilities, predicted_label", "binary:logistic", 0)
    selected = selection.select([0.75, 0.25])
    assert selection.encode(selected, "text/csv") == '"[0.25, 0.75]",1\n"[0.75, 0.25]",0'
    assert selection.encode(selected, "application/jsonlines") == (
        '{"predicted_label": 1, "probabilities": [0.25, 0.75]}\n{"predicted_label": 0, "probabilities": [0.75, 0.25]}\n'
    )


def test_several_classes_have_a_winner() -> None:
    selection = Selection("predicted_label,labels,probability,raw_scores", "multi:softprob", 3)
    assert selection.select([[0.2, 0.5, 0.3]]) == [
        {"predicted_label": 1, "labels": [0, 1, 2], "probability": 0.5, "raw_scores": [0.2, 0.5, 0.3]}
    ]


def test_a_key_that_the_objective_does_not_have_is_nan() -> None:
    [selected] = Selection("probability,predicted_score", "reg:squarederror", 0).select([2.5])
    assert selected["predicted_score"] == 2.5
    assert math.isnan(selected["probability"])


def test_some_objectives_select_nothing() -> None:
    with pytest.raises(ValueError, match="Objective `count:poisson` unsupported for selectable inference predictions"):
        Selection("predicted_score", "count:poisson", 0).select([1.0])
