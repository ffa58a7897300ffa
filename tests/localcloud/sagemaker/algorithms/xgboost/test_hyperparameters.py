"""Hyperparameters, in the order and the words of the container."""

from __future__ import annotations

import pytest

from localcloud.sagemaker.algorithms.xgboost.hyperparameters import validate
from localcloud.sagemaker.job_child import UserError


def test_values_are_typed_and_aliases_replaced() -> None:
    assert validate(
        {
            "num_round": "10",
            "learning_rate": "0.1",
            "reg_lambda": "2",
            "reg_alpha": "0",
            "min_split_loss": "1",
            "tree_method": "hist",
            "monotone_constraints": "(1,0,-1)",
            "interaction_constraints": "[[1,2],[3]]",
            "objective": "binary:logistic",
            "eval_metric": "auc,error@0.7",
        }
    ) == {
        "num_round": 10,
        "eta": 0.1,
        "lambda": 2.0,
        "alpha": 0.0,
        "gamma": 1.0,
        "tree_method": "hist",
        "monotone_constraints": (1, 0, -1),
        "interaction_constraints": [[1, 2], [3]],
        "objective": "binary:logistic",
        "eval_metric": ["auc", "error@0.7"],
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "Missing required hyperparameter: num_round"),
        ({"n_estimators": "1"}, "Missing required hyperparameter: num_round"),
        ({"num_round": "1", "n_estimators": "1"}, "Extraneous hyperparameter found: n_estimators"),
        ({"num_round": "ten"}, "Hyperparameter num_round: could not parse value (caused by ValueError)"),
        ({"num_round": "1.0"}, "Hyperparameter num_round: could not parse value (caused by ValueError)"),
        ({"num_round": "0"}, "Hyperparameter num_round: 0 is not in [1, +inf)"),
        ({"num_round": "1", "eta": "2.0"}, "Hyperparameter eta: 2.0 is not in [0, 1]"),
        ({"num_round": "1", "learning_rate": "2.0"}, "Hyperparameter eta: 2.0 is not in [0, 1]"),
        ({"num_round": "1", "subsample": "0"}, "Hyperparameter subsample: 0.0 is not in (0, 1]"),
        ({"num_round": "1", "sketch_eps": "1"}, "Hyperparameter sketch_eps: 1.0 is not in (0, 1)"),
        (
            {"num_round": "1", "booster": "tree"},
            "Hyperparameter booster: tree is not in ['gbtree', 'gblinear', 'dart']",
        ),
        (
            {"num_round": "1", "monotone_constraints": "(2,)"},
            "Hyperparameter monotone_constraints: value (2,) not in range [-1, 0, 1]",
        ),
        (
            {"num_round": "1", "monotone_constraints": "(1,"},
            "Hyperparameter monotone_constraints: could not parse value (caused by ValueError)",
        ),
        (
            {"num_round": "1", "monotone_constraints": "(1,0)"},
            "monotone_constraints can be used only when the tree_method parameter is set to either 'exact' or 'hist'.",
        ),
        (
            {"num_round": "1", "objective": "multi:softmax"},
            "Require input for parameter 'num_class' for multi-classification",
        ),
        (
            {"num_round": "1", "objective": "reg:squarederror", "eval_metric": "auc"},
            "Metric 'auc' can only be applied for classification and ranking problems.",
        ),
        (
            {"num_round": "1", "objective": "reg:squarederror", "eval_metric": "aft-nloglik"},
            "Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.",
        ),
        (
            {"num_round": "1", "objective": "reg:squarederror", "eval_metric": "rmse@2"},
            "Metric 'rmse@2' is not supported. Parameter 'eval_metric' with customized threshold should be one of "
            "these options: 'error', 'ndcg', 'map'.",
        ),
        (
            {"num_round": "1", "objective": "binary:logistic", "eval_metric": "error@t"},
            "Threshold value 't' in 'error@t' expects float input.",
        ),
        (
            {"num_round": "1", "booster": "gblinear", "updater": "prune"},
            "Linear updater should be one of these options: 'shotgun', 'coord_descent'.",
        ),
        (
            {"num_round": "1", "process_type": "update", "updater": "sync"},
            "process_type 'update' can only be used with updater 'refresh' and 'prune'",
        ),
    ],
)
def test_a_refusal_has_the_containers_words(given: dict[str, str], told: str) -> None:
    with pytest.raises(UserError) as refused:
        validate(given)
    assert str(refused.value) == told


def test_ranges_are_checked_after_all_values_are_parsed() -> None:
    with pytest.raises(UserError, match="max_depth: could not parse"):
        validate({"num_round": "0", "max_depth": "deep"})


def test_no_expression_is_evaluated() -> None:
    with pytest.raises(UserError, match="could not parse"):
        validate({"num_round": "1", "tree_method": "hist", "monotone_constraints": "__import__('os').getpid()"})
