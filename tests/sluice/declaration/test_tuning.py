"""A search is accepted as declared exactly if SageMaker would carry it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.sluice.toy import TOY

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.algorithms.catalog import Algorithm
from sluice.declaration import (
    Binary,
    Categorical,
    Continuous,
    Count,
    Integer,
    LinearLearner,
    Multiclass,
    Ranking,
    Regression,
    Tuning,
    XGBoost,
)
from sluice.declaration.candidates import Candidate
from sluice.declaration.problems import Problem
from sluice.declaration.tuning import Search
from sluice.errors import DeclarationError

BINARY: Mapping[str, Any] = {"objective": "binary:logistic"}
RATE = {"eta": Continuous(0.01, 0.3, "log")}


def algorithm(repository: str) -> Algorithm:
    """Return what the embedded cloud knows of an algorithm; it shares no code with the declaration."""
    found = catalog.by_image(f"683313688378.dkr.ecr.us-east-1.amazonaws.com/{repository}:1")
    assert found is not None
    return found


def tuned(ranges: Mapping[str, Search], fixed: Mapping[str, Any] = BINARY, **more: Any) -> XGBoost:
    """Return an XGBoost that is tuned."""
    most = int(min(10, *(each.count for each in ranges.values())))
    tuning = Tuning(ranges, jobs=most, parallel=1)
    return XGBoost({"num_round": 5, **fixed}, tuning=tuning, **more)  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("kind", "repository"), [(XGBoost, "sagemaker-xgboost"), (LinearLearner, "linear-learner")])
def test_what_is_tuned_and_for_what_is_what_sagemaker_knows(kind: type[Candidate], repository: str) -> None:
    known = algorithm(repository)

    assert set(kind.tunable) == set(known.tunable)
    assert {each.metric for objectives in kind.objectives.values() for each in objectives} <= set(known.objectives)


@pytest.mark.parametrize("name", sorted(XGBoost.tunable))
def test_every_tunable_hyperparameter_can_be_searched(name: str) -> None:
    ranges: Mapping[type[Search], Search] = {
        Continuous: Continuous(0.5, 1),
        Integer: Integer(1, 4),
        Categorical: Categorical(("gbtree", "dart") if name == "booster" else ("hist", "approx")),
    }

    candidate = XGBoost(
        {**BINARY, **({} if name == "num_round" else {"num_round": 5})},  # type: ignore[typeddict-item]
        tuning=Tuning({name: ranges[XGBoost.tunable[name]]}, jobs=2),
    )

    candidate.check_problem(Binary())


@pytest.mark.parametrize(
    ("candidate", "problem", "metric", "direction"),
    [
        (lambda: tuned(RATE), Binary(), "validation:auc", "Maximize"),
        (
            lambda: tuned(RATE, {"objective": "multi:softprob", "num_class": 3}),
            Multiclass(3),
            "validation:mlogloss",
            "Minimize",
        ),
        (lambda: tuned(RATE, {"objective": "reg:squarederror"}), Regression(), "validation:rmse", "Minimize"),
        (lambda: tuned(RATE, {"objective": "count:poisson"}), Count(), "validation:rmse", "Minimize"),
        (
            lambda: tuned(RATE, {"objective": "rank:ndcg"}, channel_format="libsvm"),
            Ranking("query"),
            "validation:ndcg",
            "Maximize",
        ),
        (
            lambda: LinearLearner({"predictor_type": "regressor"}, tuning=Tuning({"l1": Continuous(0.1, 1)})),
            Regression(),
            "validation:mse",
            "Minimize",
        ),
        (
            lambda: LinearLearner({"predictor_type": "binary_classifier"}, tuning=Tuning({"l1": Continuous(0.1, 1)})),
            Binary(),
            "validation:roc_auc_score",
            "Maximize",
        ),
    ],
)
def test_objective_follows_from_the_problem(
    candidate: Callable[[], Candidate], problem: Problem, metric: str, direction: str
) -> None:
    candidate().check_problem(problem)

    assert candidate().objective(problem) == (metric, direction)


def test_objective_may_be_declared() -> None:
    tuning = Tuning(RATE, objective="validation:logloss")
    candidate = replace(tuned(RATE), tuning=tuning)

    assert candidate.objective(Binary()) == ("validation:logloss", "Minimize")
    with pytest.raises(
        DeclarationError, match=r"candidate xgboost: a tuning for Binary\(\) has no objective 'validation:rmse'; write"
    ):
        replace(candidate, tuning=replace(tuning, objective="validation:rmse")).check_problem(Binary())


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: tuned({"etta": Continuous(0.1, 0.3)}),
            "SageMaker does not know the hyperparameter 'etta'; write it as",
        ),
        (lambda: tuned({"eta": Continuous(0.1, 1.5)}), r"eta=1.5 must be a number of at least 0 and of at most 1"),
        (lambda: tuned({"subsample": Continuous(0, 1)}), r"subsample=0.0 must be a number above 0 and of at most 1"),
        (lambda: tuned({"num_round": Integer(5, 9)}), "candidate xgboost: num_round is given and searched; leave"),
        (lambda: tuned({"seed": Integer(1, 9)}), "candidate xgboost: SageMaker does not tune seed; it tunes alpha, "),
        (lambda: tuned({"max_depth": Continuous(3, 9)}), r"max_depth=3.0 must be a whole number"),
        (lambda: tuned({"max_delta_step": Continuous(0, 9)}), "tunes max_delta_step by whole numbers; use Integer"),
        (lambda: tuned({"booster": Categorical(("gbtree", "tree"))}), "booster='tree' must be one of 'gbtree', "),
        (lambda: tuned(RATE, {**BINARY, "learning_rate": 0.1}), "learning_rate=0.1 is another name of eta, which is"),
        (lambda: tuned(RATE, {"objective": "multi:softprob"}), "needs num_class, the number of classes"),
        (
            lambda: tuned(
                {"tree_method": Categorical(("hist", "approx"))}, {**BINARY, "monotone_constraints": "(1,0)"}
            ),
            r"monotone_constraints='\(1,0\)' needs tree_method 'exact' or 'hist'",
        ),
        (lambda: XGBoost({**BINARY}, tuning=Tuning(RATE)), "the hyperparameter num_round is missing"),
        (lambda: XGBoost(7, tuning=Tuning(RATE)), "must be a mapping"),
        (lambda: tuned(RATE, spot=timedelta(hours=2)), "have one folder of checkpoints, .*; leave out spot or tuning"),
    ],
)
def test_search_that_the_algorithm_would_refuse_is_refused(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        declare()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Continuous(0.3, 0.01), r"tuning: Continuous\(least=0.3, .* needs two numbers, the smaller one first"),
        (lambda: Continuous(0, float("inf")), "needs two numbers"),
        (lambda: Continuous(0, 1, "log"), "needs ends above 0 for the scale 'log'"),
        (lambda: Continuous(0, 1, "reverse_log"), "needs ends from 0 to below 1 for the scale 'reverse_log'"),
        (lambda: Continuous(0, 1, "cubic"), "scale='cubic' is none; write one of auto, linear, log, reverse_log"),
        (lambda: Integer(1, 1), "needs two numbers"),
        (lambda: Integer(1, 2.5), "needs whole numbers; write Continuous"),
        (lambda: Integer(0, 1, "reverse_log"), "only Continuous"),
        (lambda: Categorical(("dart",)), "needs at least two different values"),
        (lambda: Categorical("dart"), "needs at least two different values"),
        (lambda: Categorical((3, "3")), "needs at least two different values"),
        (lambda: Tuning({}), r"tuning: ranges=\{\} must map hyperparameters to ranges"),
        (lambda: Tuning({"eta": (0.1, 0.3)}), "must map hyperparameters to ranges; write it as"),
        (lambda: Tuning(RATE, jobs=751), "jobs=751 must be a whole number from 1 to 750"),
        (lambda: Tuning(RATE, jobs=0), "jobs=0 must be a whole number from 1 to 750"),
        (lambda: Tuning(RATE, jobs=4, parallel=5), "parallel=5 must be a whole number from 1 to 4"),
        (lambda: Tuning(RATE, jobs=200, parallel=101), "parallel=101 must be a whole number from 1 to 100"),
        (
            lambda: Tuning(RATE, strategy="hyperband"),
            "strategy='hyperband' is none .*; write one of bayesian, random, grid",
        ),
        (lambda: Tuning(RATE, objective=""), "objective='' must be text; write it as objective='validation:auc'"),
        (lambda: Tuning({"max_depth": Integer(1, 3)}, jobs=4), "jobs=4 is more than the 3 combinations"),
        (lambda: Tuning(RATE, strategy="grid"), "the strategy 'grid' searches categories only; use Categorical"),
        (
            lambda: Tuning({"max_depth": Categorical((1, 2, 3))}, jobs=4, strategy="grid"),
            "jobs=4 must be 3, the number of combinations of the grid",
        ),
        (lambda: Tuning({"max_depth": Categorical(tuple(range(31)))}), "ranges has 31 hyperparameters, each category"),
    ],
)
def test_search_without_meaning_is_refused(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        declare()
    assert "\n" not in str(refused.value)


def test_wait_lasts_as_long_as_all_training_jobs_one_after_another() -> None:
    candidate = replace(tuned(RATE), tuning=Tuning(RATE, jobs=7, parallel=2))
    training = replace(TOY.training, candidates=(*TOY.training.candidates, replace(candidate, name="tuned")))

    assert TOY.training.longest_job == timedelta(hours=1)
    assert training.longest_job == 4 * timedelta(hours=1, minutes=15)  # at most two at once


def test_tuning_that_takes_longer_than_sagemaker_lets_it_is_refused() -> None:
    candidate = replace(tuned(RATE), tuning=Tuning(RATE, jobs=100, parallel=1))

    with pytest.raises(
        DeclarationError, match=r"candidate xgboost: 100 jobs of max_runtime=.* the 30 days of a tuning"
    ):
        replace(TOY.training, candidates=(candidate,), max_runtime=timedelta(hours=8))


def test_linear_learner_needs_rows_for_the_largest_batch_that_is_tried() -> None:
    tuning = Tuning({"mini_batch_size": Integer(50, 400)})

    assert LinearLearner({"predictor_type": "regressor"}, tuning=tuning).fewest_rows == 400
