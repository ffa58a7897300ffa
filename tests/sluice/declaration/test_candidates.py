"""A candidate's format of its channels is one that the algorithm trains on, and one that the problem needs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sluice.ranked import BOOSTED, ranked

from sluice.declaration import LinearLearner, Ranking, XGBoost
from sluice.declaration.candidates import Candidate
from sluice.errors import DeclarationError

QUERIES = Ranking("query")
LINES = {"predictor_type": "regressor"}


def test_channels_are_csv_unless_another_format_is_declared() -> None:
    assert XGBoost(BOOSTED).channel_format == LinearLearner(LINES).channel_format == "csv"


@pytest.mark.parametrize(
    ("kind", "hyperparameters", "other", "known"),
    [
        (LinearLearner, LINES, "parquet", "'csv', 'recordio'"),
        (LinearLearner, LINES, "libsvm", "'csv', 'recordio'"),
        (XGBoost, BOOSTED, "arrow", "'csv', 'libsvm', 'parquet', 'recordio'"),
    ],
)
def test_format_that_the_algorithm_does_not_train_on_is_refused(
    kind: Any, hyperparameters: dict[str, Any], other: str, known: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        kind(hyperparameters, name="own", channel_format=other)
    assert str(refused.value) == (
        f"candidate own: the algorithm does not train on channel_format={other!r}; write one of {known}"
    )


@pytest.mark.parametrize(
    ("candidate", "problem", "message"),
    [
        (
            XGBoost(BOOSTED),
            QUERIES,
            "candidate xgboost: channel_format='csv' has no place for the groups of Ranking('query'); write it as "
            "channel_format='libsvm'",
        ),
        (
            XGBoost({**BOOSTED, "objective": "reg:squarederror"}, channel_format="libsvm"),
            QUERIES,
            "candidate xgboost: objective='reg:squarederror' does not fit Ranking('query'); write it as 'rank:ndcg' or "
            "'rank:pairwise' or 'rank:map'",
        ),
        (
            XGBoost({**BOOSTED, "objective": "rank:map"}, channel_format="libsvm"),
            QUERIES,
            "candidate xgboost: objective='rank:map' takes relevances of 0 and 1 only; declare highest=1, or write "
            "ndcg for map",
        ),
        (
            XGBoost({**BOOSTED, "eval_metric": "ndcg,map@5"}, channel_format="libsvm"),
            QUERIES,
            "candidate xgboost: eval_metric='ndcg,map@5' takes relevances of 0 and 1 only; declare highest=1, or write "
            "ndcg for map",
        ),
        (
            LinearLearner(LINES),
            QUERIES,
            "candidate linear: predictor_type='regressor' has none for Ranking('query'); leave this candidate out",
        ),
    ],
)
def test_candidate_that_can_not_rank_is_refused_in_one_line(
    candidate: Candidate, problem: Ranking, message: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        candidate.check_problem(problem)
    assert str(refused.value) == message


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "rank:map"])
def test_every_objective_of_a_ranking_takes_relevances_of_0_and_1(objective: str) -> None:
    candidate = XGBoost({**BOOSTED, "objective": objective, "eval_metric": "map"}, channel_format="libsvm")  # type: ignore[typeddict-item]

    candidate.check_problem(Ranking("query", highest=1))


@pytest.mark.parametrize("changes", [{"features": ("value", "query")}, {"label": "query"}])
def test_group_is_neither_a_feature_nor_the_label(changes: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="pipeline toy: training ranks the rows of each 'query', which is its l"):
        ranked(**changes)
