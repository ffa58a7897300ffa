"""Each metric has the value that its definition gives, computed here without the library that measures."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.metrics import METRICS
from sluice.evaluation import metrics
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


DEFINITIONS = {each.__name__: each for each in (auc, average_precision, accuracy, balanced_accuracy, f1, log_loss)}


def test_every_declared_metric_has_its_function_and_its_definition_here() -> None:
    assert set(METRICS) == set(DEFINITIONS)
    assert all(callable(getattr(metrics, name)) for name in METRICS)


@pytest.mark.parametrize("metric", METRICS)
@given(rows=ROWS)
def test_value_is_that_of_the_definition(metric: str, rows: Rows) -> None:
    found = measured(metric, rows)

    assert same(found, DEFINITIONS[metric](rows)), (found, DEFINITIONS[metric](rows))
    assert math.isnan(found) or 0 <= found <= METRICS[metric].highest + 1e-9


def test_one_class_has_no_auc() -> None:
    assert math.isnan(measured("auc", [(1, 0.1), (1, 0.2)]))
    assert math.isnan(measured("auc", []))


@pytest.mark.parametrize("metric", METRICS)
def test_better_scores_pass_a_bound_that_worse_ones_do_not(metric: str) -> None:
    good = measured(metric, [(0, 0.1), (0, 0.2), (1, 0.8), (1, 0.9)])
    bad = measured(metric, [(0, 0.9), (0, 0.2), (1, 0.1), (1, 0.8)])
    known = METRICS[metric]

    assert known.reaches(good, good)
    assert not known.reaches(bad, good)
    assert not known.reaches(math.nan, bad)
