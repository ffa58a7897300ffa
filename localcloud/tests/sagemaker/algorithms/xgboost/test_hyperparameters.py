"""Hyperparameters are checked in the container's order, with its messages."""

from __future__ import annotations

import math

import pytest

from localcloud.sagemaker.algorithms.xgboost.hyperparameters import validate
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError


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
    ("given", "message"),
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
            {"num_round": "1", "interaction_constraints": "[[a]]"},
            "Hyperparameter interaction_constraints: could not parse value (caused by ValueError)",
        ),
        (
            {"num_round": "1", "interaction_constraints": "[[0]]"},
            "Hyperparameter interaction_constraints: value [[0]] not in range [1, +inf)",
        ),
        (
            {"num_round": "1", "tree_method": "auto", "interaction_constraints": "[[1]]"},
            "interaction_constraints can be used only when the tree_method parameter is set to either 'exact', "
            "'hist' or 'approx'.",
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
def test_a_refusal_has_the_containers_message(given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        validate(given)
    assert str(refused.value) == message


def test_ranges_are_checked_after_all_values_are_parsed() -> None:
    with pytest.raises(UserError, match="max_depth: could not parse"):
        validate({"num_round": "0", "max_depth": "deep"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eval_metric": "rmse"}, "'objective'"),
        ({"monotone_constraints": "1"}, "unexpected failure when validating 1 (caused by TypeError)"),
        ({"monotone_constraints": "(one,)"}, "isn't a tuple"),
        ({"interaction_constraints": "[1]"}, "unexpected failure when validating [1] (caused by TypeError)"),
        ({"interaction_constraints": "[['a']]"}, "unexpected failure when validating [['a']] (caused by TypeError)"),
    ],
)
def test_a_failure_of_the_container_itself_is_an_algorithm_error(given: dict[str, str], message: str) -> None:
    with pytest.raises(AlgorithmError) as failed:
        validate({"num_round": "1", **given})
    assert message in str(failed.value)


def test_constraints_that_are_not_python_are_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        validate({"num_round": "1", "tree_method": "hist", "monotone_constraints": "(1,"})


def test_no_expression_is_evaluated() -> None:
    with pytest.raises(AlgorithmError, match="isn't a tuple"):
        validate({"num_round": "1", "tree_method": "hist", "monotone_constraints": "__import__('os').getpid()"})


# Each range's ends: the last allowed value, and the first refused one.
INTEGERS = [
    *[("num_round", 1, None), ("csv_weights", 0, 1), ("early_stopping_rounds", 1, None), ("verbosity", 0, 3)],
    *[("nthread", 1, None), ("max_depth", 0, None), ("max_leaves", 0, None), ("max_bin", 0, None)],
    *[("refresh_leaf", 0, 1), ("one_drop", 0, 1), ("num_class", 2, None), ("num_parallel_tree", 1, None)],
    *[("_kfold", 2, None), ("_num_cv_round", 1, None), ("prob_buffer_row", 2, None)],
    ("seed", -(2**31) + 1, 2**31 - 2),
]
NUMBERS = [
    *[("eta", "[0", "1]"), ("gamma", "[0", ""), ("min_child_weight", "[0", ""), ("max_delta_step", "[0", "")],
    *[("lambda", "[0", ""), ("alpha", "[0", ""), ("base_score", "[0", ""), ("aft_loss_distribution_scale", "[0", "")],
    *[(f"colsample_by{part}", "(0", "1]") for part in ("tree", "level", "node")],
    *[("subsample", "(0", "1]"), ("sketch_eps", "(0", "1)"), ("scale_pos_weight", "(0", "")],
    *[("rate_drop", "[0", "1]"), ("skip_drop", "[0", "1]"), ("lambda_bias", "[0", "1]")],
    ("tweedie_variance_power", "(1", "2)"),
]
CHOICES = {
    "booster": ["gbtree", "gblinear", "dart"],
    "tree_method": ["auto", "exact", "approx", "hist", "gpu_hist"],
    "dsplit": ["row", "col"],
    "process_type": ["default", "update"],
    "grow_policy": ["depthwise", "lossguide"],
    "predictor": ["auto", "cpu_predictor", "gpu_predictor"],
    "sample_type": ["uniform", "weighted"],
    "normalize_type": ["tree", "forest"],
    "save_model_on_termination": ["true", "false"],
    "aft_loss_distribution": ["normal", "logistic", "extreme"],
    "deterministic_histogram": ["true", "false"],
    "sampling_method": ["uniform", "gradient_based"],
    "use_dask_gpu_training": ["true", "false"],
}


@pytest.mark.parametrize(("name", "low", "high"), INTEGERS)
def test_an_integer_may_be_an_end_of_its_range(name: str, low: int, high: int | None) -> None:
    for allowed in (low, 10**12 if high is None else high):
        assert validate({"num_round": "1", name: str(allowed)})[name] == allowed
    for refused in [low - 1] if high is None else [low - 1, high + 1]:
        with pytest.raises(UserError, match=f"^Hyperparameter {name}: {refused} is not in "):
            validate({"num_round": "1", name: str(refused)})


@pytest.mark.parametrize(("name", "low", "high"), NUMBERS)
def test_a_number_may_be_a_closed_end_of_its_range(name: str, low: str, high: str) -> None:
    bottom, top = float(low[1:]), float(high[:-1]) if high else math.inf
    above, below = math.nextafter(bottom, math.inf), math.nextafter(top, -math.inf)
    allowed = {above, below, *([bottom] if low[0] == "[" else []), *([top] if high.endswith("]") else [])}
    for value in allowed:
        assert validate({"num_round": "1", name: repr(value)})[name] == value
    for value in {math.nextafter(bottom, -math.inf), bottom, math.nextafter(top, math.inf), top} - allowed - {math.inf}:
        with pytest.raises(UserError, match=f"^Hyperparameter {name}: .* is not in "):
            validate({"num_round": "1", name: repr(value)})


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_of_its_words(name: str) -> None:
    for word in CHOICES[name]:
        assert validate({"num_round": "1", name: word})[name] == word
    with pytest.raises(UserError) as refused:
        validate({"num_round": "1", name: CHOICES[name][0].upper()})
    assert str(refused.value) == f"Hyperparameter {name}: {CHOICES[name][0].upper()} is not in {CHOICES[name]}"


def test_nan_is_in_every_range_as_in_the_container() -> None:
    assert math.isnan(validate({"num_round": "1", "eta": "nan"})["eta"])


def test_dependencies_are_checked_in_the_order_of_the_hyperparameters() -> None:
    constrained, multi = {"monotone_constraints": "(1,)"}, {"objective": "multi:softmax"}
    with pytest.raises(UserError, match="monotone_constraints can be used only"):
        validate({"num_round": "1", **constrained, **multi})
    with pytest.raises(UserError, match="num_class"):
        validate({"num_round": "1", **multi, **constrained})
    with pytest.raises(UserError, match="num_class"):
        validate({"num_round": "1", "eval_metric": "auc", **multi})


@pytest.mark.parametrize("metric", ["error@0.5", "ndcg@3", "map@5", "error @ 0.5", "error@0.5@x"])
def test_a_metric_may_have_a_threshold(metric: str) -> None:
    given = {"num_round": "1", "objective": "binary:logistic", "eval_metric": metric}
    assert validate(given)["eval_metric"] == [metric]


def test_the_last_of_two_names_for_a_hyperparameter_counts() -> None:
    assert validate({"num_round": "1", "eta": "0.1", "learning_rate": "0.2"})["eta"] == 0.2
