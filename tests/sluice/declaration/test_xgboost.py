"""A candidate is accepted as declared exactly if SageMaker's container would accept it."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from localcloud.sagemaker.algorithms.xgboost.hyperparameters import validate
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError
from sluice.declaration.xgboost import XGBoost, XGBoostHyperparameters
from sluice.errors import DeclarationError

TYPES = typing.get_type_hints(XGBoostHyperparameters)
# What has a form of its own inside of a text.
TEXTS = {"eval_metric", "monotone_constraints", "interaction_constraints", "updater"}
NUMBERS = [-1, 0, 1, 2, 3, 10, 2**31, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 1e9]


def values_of(name: str) -> list[Any]:
    """Numbers around all bounds, and each of the words of a choice."""
    words = typing.get_args(TYPES[name]) if typing.get_origin(TYPES[name]) is Literal else ()
    return [*NUMBERS, *words, "elsewhere", "true", "false"]


def container_accepts(given: Mapping[str, Any]) -> bool:
    """Whether the embedded cloud's container, which shares no code with the declaration, accepts the values."""
    try:
        validate({name: str(value) for name, value in given.items()})
    except (UserError, AlgorithmError, SyntaxError):
        return False
    return True


def declared(given: Mapping[str, Any]) -> str | None:
    """The error of the declaration, or None."""
    try:
        XGBoost(given)  # type: ignore[arg-type]
    except DeclarationError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", sorted(TYPES.keys() - TEXTS))
def test_value_is_accepted_if_the_container_accepts_it(name: str) -> None:
    for value in values_of(name):
        others = {"num_round": 1, "num_class": 2, "eval_metric": "rmse", "objective": "reg:squarederror"}
        hyperparameters = {**others, name: value}

        error = declared(hyperparameters)

        assert (error is None) == container_accepts(hyperparameters), (value, error)
        assert error is None or error.startswith(f"candidate xgboost: {name}={value!r} ")


@pytest.mark.parametrize("name", sorted(TYPES.keys() - TEXTS))
def test_container_knows_every_hyperparameter_of_the_declaration(name: str) -> None:
    with pytest.raises((UserError, AlgorithmError)) as refused:
        validate({"num_round": "1", name: "no such value"})
    assert "Extraneous" not in str(refused.value)


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"objective": "multi:softprob"}, "objective='multi:softprob' needs num_class, the number of classes"),
        ({"eval_metric": "auc"}, "eval_metric='auc' needs an objective beside it"),
        (
            {"objective": "reg:squarederror", "eval_metric": "rmse,auc"},
            "has auc, which the objective 'reg:squarederror'",
        ),
        ({"objective": "binary:logistic", "eval_metric": "auc,gini"}, "has 'gini', which SageMaker's XGBoost does not"),
        ({"objective": "binary:logistic", "eval_metric": "auc@0.5"}, "has 'auc@0.5', which SageMaker's XGBoost does"),
        (
            {"objective": "binary:logistic", "eval_metric": "aft-nloglik"},
            "has aft-nloglik, which only the objective 'surv",
        ),
        ({"monotone_constraints": "(1,0)"}, "monotone_constraints='(1,0)' needs tree_method 'exact' or 'hist'"),
        ({"interaction_constraints": "[[1,2]]"}, "needs tree_method 'exact', 'hist' or 'approx'"),
    ],
)
def test_what_the_container_refuses_because_of_another_value_is_refused(
    hyperparameters: dict[str, Any], message: str
) -> None:
    hyperparameters = {"num_round": 1, **hyperparameters}

    error = declared(hyperparameters)

    assert not container_accepts(hyperparameters)
    assert error is not None
    assert message in error


def test_early_stopping_that_the_container_ignores_is_refused() -> None:
    ignored = {"num_round": 1, "objective": "binary:logistic", "early_stopping_rounds": 3}

    assert declared(ignored) == (
        "candidate xgboost: early_stopping_rounds=3 has no effect in SageMaker's container without eval_metric"
    )
    assert declared({**ignored, "eval_metric": "auc"}) is None


def test_threshold_of_a_metric_is_accepted() -> None:
    thresholds = {"num_round": 1, "objective": "binary:logistic", "eval_metric": "error@0.7,logloss"}

    assert declared(thresholds) is None
    assert container_accepts(thresholds)


@pytest.mark.parametrize("hyperparameters", [[], None, "num_round=5"])
def test_what_is_no_mapping_is_refused(hyperparameters: Any) -> None:
    assert "must be a mapping; write it as {'num_round': 100}" in str(declared(hyperparameters))
