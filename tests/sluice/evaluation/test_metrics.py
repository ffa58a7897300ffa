"""Each metric has the value that its definition gives, computed here without the library that measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration import Binary, Count, Multiclass, Ranking, Regression
from sluice.declaration.gate import MetricName
from sluice.declaration.metrics import METRICS
from sluice.evaluation.metrics import measure

SCORES = st.one_of(st.floats(0, 1), st.integers(0, 3).map(lambda n: n / 3))  # few values: ties
ROWS = st.lists(st.tuples(st.integers(0, 1), SCORES), max_size=40)
Rows = list[tuple[int, float]]


def measured(metric: str, rows: Rows) -> float:
    labels, scores = [label for label, _ in rows], [score for _, score in rows]
    return measure(metric, np.array(labels, dtype=float), np.array(scores, dtype=float))


def same(found: float, expected: float | Fraction) -> bool:
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, abs_tol=1e-9)


def auc(rows: Rows) -> float:
    """Return the share of pairs of a positive and a negative in which the positive scores higher; a tie counts half."""
    positives, negatives = ([score for each, score in rows if each == label] for label in (1, 0))
    wins = sum(
        Fraction(1) if one > other else Fraction(1, 2) if one == other else Fraction(0)
        for one, other in product(positives, negatives)
    )
    return float(wins / (len(positives) * len(negatives))) if positives and negatives else math.nan


def average_precision(rows: Rows) -> float:
    """Return the sum over the thresholds of precision times the gain in recall."""
    positives = sum(label for label, _ in rows)
    if positives in (0, len(rows)):
        return math.nan
    total, recall = Fraction(0), Fraction(0)
    for threshold in sorted({score for _, score in rows}, reverse=True):
        at_least = [label for label, score in rows if score >= threshold]
        reached = Fraction(sum(at_least), positives)
        total += Fraction(sum(at_least), len(at_least)) * (reached - recall)
        recall = reached
    return float(total)


def counts(rows: Rows) -> tuple[int, int, int, int]:
    """Return how many are true positives, false positives, false negatives and true negatives."""
    cells = [(label, int(score >= 0.5)) for label, score in rows]
    return cells.count((1, 1)), cells.count((0, 1)), cells.count((1, 0)), cells.count((0, 0))


def accuracy(rows: Rows) -> float:
    tp, _, _, tn = counts(rows)
    return (tp + tn) / len(rows) if rows else math.nan


def balanced_accuracy(rows: Rows) -> float:
    tp, fp, fn, tn = counts(rows)
    return (tp / (tp + fn) + tn / (tn + fp)) / 2 if tp + fn and tn + fp else math.nan


def f1(rows: Rows) -> float:
    tp, fp, fn, _ = counts(rows)
    return 2 * tp / (2 * tp + fp + fn) if tp + fn else math.nan


def log_loss(rows: Rows) -> float:
    smallest = float(np.finfo(float).eps)
    losses = [-math.log(min(max(score if label else 1 - score, smallest), 1 - smallest)) for label, score in rows]
    return sum(losses) / len(losses) if losses else math.nan


BINARY = {each.__name__: each for each in (auc, average_precision, accuracy, balanced_accuracy, f1, log_loss)}

Pairs = list[tuple[float, float]]
NUMBERS = st.floats(-1e3, 1e3).map(lambda number: round(number, 3))
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=40)
COUNTS = st.lists(st.tuples(st.integers(0, 9).map(float), st.floats(0.01, 20)), max_size=40)


def rmse(pairs: Pairs) -> float:
    return math.sqrt(sum((one - other) ** 2 for one, other in pairs) / len(pairs)) if pairs else math.nan


def mae(pairs: Pairs) -> float:
    return sum(abs(one - other) for one, other in pairs) / len(pairs) if pairs else math.nan


def r2(pairs: Pairs) -> float:
    labels = [Fraction(label) for label, _ in pairs]
    if len(set(labels)) < 2:
        return math.nan
    mean = sum(labels) / len(labels)
    errors = sum((Fraction(label) - Fraction(value)) ** 2 for label, value in pairs)
    return float(1 - errors / sum((label - mean) ** 2 for label in labels))


def poisson_deviance(pairs: Pairs) -> float:
    """Return the mean of 2 (y log(y / m) - y + m), where 0 log 0 is 0."""
    if not pairs or any(value <= 0 for _, value in pairs):
        return math.nan
    parts = [2 * ((y * math.log(y / m) if y else 0) - y + m) for y, m in pairs]
    return sum(parts) / len(parts)


NUMERIC = {each.__name__: each for each in (rmse, mae, r2, poisson_deviance)}

Voted = list[tuple[int, tuple[float, float, float]]]
SHARES = st.tuples(*[st.floats(0.01, 1)] * 3).map(lambda parts: tuple(part / sum(parts) for part in parts))
VOTED = st.lists(st.tuples(st.integers(0, 2), SHARES), max_size=40)


def votes(rows: Voted) -> list[tuple[int, int]]:
    return [(label, shares.index(max(shares))) for label, shares in rows]


def multiclass_accuracy(rows: Voted) -> float:
    return sum(label == vote for label, vote in votes(rows)) / len(rows) if rows else math.nan


def multiclass_balanced_accuracy(rows: Voted) -> float:
    classes = sorted({label for label, _ in rows})
    if len(classes) < 2:
        return math.nan
    recalls = [[vote == label for label, vote in votes(rows) if label == each] for each in classes]
    return sum(sum(found) / len(found) for found in recalls) / len(classes)


def f1_macro(rows: Voted) -> float:
    classes = sorted({label for label, _ in rows})
    found = []
    for each in classes:
        pairs = votes(rows)
        true = sum(label == vote == each for label, vote in pairs)
        wrong = sum((label == each) != (vote == each) for label, vote in pairs)
        found.append(2 * true / (2 * true + wrong))
    return sum(found) / len(found) if found else math.nan


def multiclass_log_loss(rows: Voted) -> float:
    return -sum(math.log(shares[label]) for label, shares in rows) / len(rows) if rows else math.nan


OF_CLASSES = {
    "accuracy": multiclass_accuracy,
    "balanced_accuracy": multiclass_balanced_accuracy,
    "f1_macro": f1_macro,
    "multiclass_log_loss": multiclass_log_loss,
}


Ranked = list[tuple[int, int, float]]  # group, relevance, score
RANKED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), SCORES), max_size=14)


def ndcg(rows: Ranked) -> float:
    """Return the mean over the groups of the gains in the order of the scores, as a share of those in the best order.

    Rows of one score share the mean discount of their places. A group in which no order is better is left out.
    """
    found = []
    for group in {each for each, _, _ in rows}:
        some = [(relevance, score) for each, relevance, score in rows if each == group]
        if len({relevance for relevance, _ in some}) > 1:
            found.append(gain([score for _, score in some], some) / gain([relevance for relevance, _ in some], some))
    return sum(found) / len(found) if found else math.nan


def gain(keys: Sequence[float], rows: list[tuple[int, float]]) -> float:
    total = 0.0
    for (relevance, _), key in zip(rows, keys, strict=True):
        above, same = sum(each > key for each in keys), sum(each == key for each in keys)
        places = range(above + 1, above + same + 1)
        total += (2**relevance - 1) * sum(1 / math.log2(place + 1) for place in places) / same
    return total


RANKS = {"ndcg": ndcg}


def test_every_metric_of_a_problem_is_known_has_its_function_and_its_definition_here() -> None:
    assert set(BINARY) == set(Binary.metrics)
    assert set(OF_CLASSES) == set(Multiclass.metrics)
    assert set(NUMERIC) == set(Regression.metrics) | set(Count.metrics)
    assert set(RANKS) == set(Ranking.metrics)
    assert set(METRICS) == set(BINARY) | set(OF_CLASSES) | set(NUMERIC) | set(RANKS)
    assert set(get_args(MetricName)) == set(METRICS)


@pytest.mark.parametrize("metric", BINARY)
@given(rows=ROWS)
def test_value_is_that_of_the_definition(metric: str, rows: Rows) -> None:
    found = measured(metric, rows)

    assert same(found, BINARY[metric](rows)), (found, BINARY[metric](rows))
    assert math.isnan(found) or METRICS[metric].lowest <= found <= METRICS[metric].highest + 1e-9


@pytest.mark.parametrize("metric", NUMERIC)
@given(pairs=PAIRS | COUNTS)
def test_value_of_numbers_is_that_of_the_definition(metric: str, pairs: Pairs) -> None:
    if metric == "poisson_deviance":
        pairs = [(abs(label), value) for label, value in pairs]
    labels, values = (np.array([pair[place] for pair in pairs], dtype=float) for place in (0, 1))
    expected = NUMERIC[metric](pairs)

    found = measure(metric, labels, values)

    assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("metric", OF_CLASSES)
@given(rows=VOTED)
def test_value_of_several_classes_is_that_of_the_definition(metric: str, rows: Voted) -> None:
    labels = np.array([label for label, _ in rows], dtype=float)
    shares = np.array([each for _, each in rows], dtype=float).reshape(len(rows), 3)

    assert same(measure(metric, labels, shares), OF_CLASSES[metric](rows))


@pytest.mark.parametrize("metric", RANKS)
@given(rows=RANKED)
def test_value_of_a_ranking_is_that_of_the_definition(metric: str, rows: Ranked) -> None:
    groups, labels, scores = (np.array([row[place] for row in rows]) for place in range(3))

    found = measure(metric, labels.astype(float), scores.astype(float), groups.astype(np.intp))

    assert same(found, RANKS[metric](rows)), (found, RANKS[metric](rows))
    assert math.isnan(found) or METRICS[metric].lowest <= found <= METRICS[metric].highest + 1e-9


def test_ndcg_is_that_of_xgboost_where_every_group_has_an_order() -> None:
    """XGBoost counts a group without an order as 1; there is none here, and no two scores of a group are equal."""
    random = np.random.default_rng(4)
    groups, labels = np.repeat(np.arange(30), 8), np.tile([0.0, 1, 2, 3, 4, 0, 1, 5], 30)
    matrix = xgboost.DMatrix(random.normal(size=(240, 2)) + labels[:, None] / 9, label=labels, qid=groups)
    logged: dict[str, Any] = {}

    booster = xgboost.train(
        {"objective": "rank:ndcg", "eval_metric": "ndcg", "booster": "gblinear"},
        *(matrix, 3),
        evals=[(matrix, "train")],
        evals_result=logged,
        verbose_eval=False,
    )

    scores = booster.predict(matrix)
    assert all(len(np.unique(scores[groups == group])) == 8 for group in range(30))
    assert measure("ndcg", labels, scores, groups) == pytest.approx(logged["train"]["ndcg"][-1], abs=1e-6)


def test_groups_that_can_not_be_judged_are_left_out() -> None:
    """One row, or rows of one relevance, also of 0: the mean is that of the fourth group alone."""
    groups = np.array([0, 1, 1, 2, 2, 3, 3])
    labels, scores = np.array([3.0, 2, 2, 0, 0, 0, 1]), np.array([0.1, 1, 2, 1, 2, 0.9, 0.1])

    assert measure("ndcg", labels, scores, groups) == pytest.approx(1 / math.log2(3))
    assert math.isnan(measure("ndcg", labels[:5], scores[:5], groups[:5]))


def test_one_class_has_no_auc() -> None:
    assert math.isnan(measured("auc", [(1, 0.1), (1, 0.2)]))
    assert math.isnan(measured("auc", []))


@pytest.mark.parametrize("metric", BINARY)
def test_better_scores_pass_a_bound_that_worse_ones_do_not(metric: str) -> None:
    good = measured(metric, [(0, 0.1), (0, 0.2), (1, 0.8), (1, 0.9)])
    bad = measured(metric, [(0, 0.9), (0, 0.2), (1, 0.1), (1, 0.8)])
    known = METRICS[metric]

    assert known.reaches(good, good)
    assert not known.reaches(bad, good)
    assert not known.reaches(math.nan, bad)
    assert known.gain(good, bad) > 0 > known.gain(bad, good)
