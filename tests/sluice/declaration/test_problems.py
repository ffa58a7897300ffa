"""Which labels a problem takes, and which rows it can learn from."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.declaration import Binary, Count, Multiclass, Ranking, Regression
from sluice.declaration.problems import Problem
from sluice.errors import DeclarationError


@pytest.mark.parametrize(
    ("problem", "good", "bad", "why"),
    [
        (Binary(), [0.0, 1.0], [-1.0, 2.0, 0.5], "a binary label is 0 or 1; map it in the step, or declare another"),
        (Multiclass(3), [0.0, 1.0, 2.0], [-1.0, 3.0, 0.5], "the 3 classes are 0 to 2; number them so in the step"),
        (Regression(), [-1.5, 0.0, 1e30], [], ""),
        (Count(), [0.0, 0.5, 7.0], [-1.0], "a count is never negative; correct the step, or declare Regression"),
        (Ranking("query"), [0.0, 31.0], [-1.0, 0.5, 32.0], "a relevance is a whole number from 0 to 31; map it in the"),
        (Ranking("query", highest=2), [0.0, 2.0], [3.0], "a relevance is a whole number from 0 to 2; map it in the"),
    ],
)
def test_label_outside_of_the_problem_is_refused(
    problem: Problem, good: list[float], bad: list[float], why: str
) -> None:
    assert [problem.refusal(label) for label in good] == [None] * len(good)
    assert all((problem.refusal(label) or "").startswith(why) for label in bad)
    assert all(problem.refusal(label) for label in bad)


@pytest.mark.parametrize(
    ("problem", "labels", "reasons"),
    [
        (Binary(), {0.0, 1.0}, []),
        (Binary(), {1.0}, ["is 1 in every row, so there is nothing to learn"]),
        (Regression(), {2.5}, ["is 2.5 in every row, so there is nothing to learn"]),
        (Multiclass(3), {0.0, 2.0}, ["has no row of class 1, one of the 3 classes"]),
        (Multiclass(3), {0.0, 1.0, 2.0}, []),
        (Count(), {0.0, 3.0}, []),
        (Ranking("query"), {0.0, 3.0}, []),
        (Ranking("query"), {3.0}, ["is 3 in every row, so there is nothing to learn"]),
    ],
)
def test_rows_from_which_nothing_can_be_learned_are_named(
    problem: Problem, labels: set[float], reasons: list[str]
) -> None:
    assert list(problem.objections(labels)) == reasons


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"group": ""}, "problem: group='' must be text; write it as group='query_id'"),
        ({"group": "query", "highest": 0}, "problem: highest=0 must be a whole number from 1 to 31"),
        ({"group": "query", "highest": 32}, "problem: highest=32 must be a whole number from 1 to 31"),
    ],
)
def test_member_of_a_ranking_is_checked(members: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Ranking(**members)
    assert str(refused.value) == message


def test_only_a_ranking_has_groups() -> None:
    assert Ranking("query").group_column == "query"
    assert [each.group_column for each in (Binary(), Multiclass(3), Regression(), Count())] == [None] * 4
