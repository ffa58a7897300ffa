"""A candidate names its algorithm; nothing else has a list of them."""

from __future__ import annotations

import pytest

from sluice.declaration import LinearLearner, XGBoost
from sluice.errors import DeclarationError
from sluice.training.algorithms.contract import Algorithm, algorithm_named


def algorithm(kind: type[XGBoost] | type[LinearLearner]) -> Algorithm:
    return algorithm_named(kind.algorithm)


def test_candidate_names_its_algorithm() -> None:
    assert algorithm(XGBoost).repository == "sagemaker-xgboost"
    assert algorithm(LinearLearner).repository == "linear-learner"
    image = algorithm(XGBoost).image("1.7-1", "us-east-1")
    assert image == "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    image = algorithm(LinearLearner).image("1", "eu-central-1")
    assert image == "664544806723.dkr.ecr.eu-central-1.amazonaws.com/linear-learner:1"


def test_answers_are_the_numbers_of_a_line() -> None:
    assert algorithm(XGBoost).read_answer("0.25") == [0.25]
    assert algorithm(XGBoost).read_answer("0.25,0.5,0.25") == [0.25, 0.5, 0.25]
    assert algorithm(XGBoost).read_answer("[0.25, 0.5, 0.25]") == [0.25, 0.5, 0.25]  # of a batch transform
    assert algorithm(LinearLearner).read_answer('{"score": 0.4, "predicted_label": 0}') == [0.4]
    assert algorithm(LinearLearner).read_answer('{"score": [0.4, 0.5, 0.1], "predicted_label": 1}') == [0.4, 0.5, 0.1]


@pytest.mark.parametrize("line", ["", "high", "0.5;0.5"])
def test_line_of_xgboost_that_is_no_numbers_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        algorithm(XGBoost).read_answer(line)


@pytest.mark.parametrize("line", ["", "0.5", "{}", '{"predicted_label": 0}', "not json", "[0.5]"])
def test_line_of_linear_learner_without_a_score_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        algorithm(LinearLearner).read_answer(line)


def test_missing_algorithm_is_named() -> None:
    missing = r"names 'sluice\.training\.algorithms\.nowhere:Nothing', which can't be imported"
    with pytest.raises(DeclarationError, match=missing):
        algorithm_named("sluice.training.algorithms.nowhere:Nothing")
