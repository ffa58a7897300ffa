"""How answers differ from labels, against figures that are worked out by hand or by definition."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.declaration.problems import Binary, Count, Multiclass, Regression
from sluice.evaluation.diagnosis import Calibration, Confusion, Residuals, confusion_counts, diagnose, tenths


def test_tenths_are_by_the_answers() -> None:
    """20 rows in another order than that of the answers; each tenth has two."""
    answers = np.arange(20.0)[::-1]
    labels = answers + np.where(answers < 10, 1, -2)

    found = tenths(labels, answers)

    assert [(each.answered, each.observed - each.answered, each.rows) for each in found] == [
        (2 * n + 0.5, 1 if n < 5 else -2, 2) for n in range(10)
    ]


def test_equal_answers_are_in_one_bin() -> None:
    """Where a model gives the same answer, the order of the rows must not make a difference."""
    (only,) = tenths(np.array([0.0, 1, 1, 0]), np.full(4, 0.5))

    assert (only.answered, only.observed, only.rows) == (0.5, 0.5, 4)
    assert [each.rows for each in tenths(np.array([1.0, 2]), np.array([3.0, 1]))] == [1, 1]


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9])), min_size=1))
def test_bins_part_the_rows(rows: list[tuple[int, float]]) -> None:
    labels, answers = np.array(rows, dtype=float).T

    found = tenths(labels, answers)

    assert sum(each.rows for each in found) == len(rows)
    assert sum(each.observed * each.rows for each in found) == pytest.approx(labels.sum())
    assert sum(each.answered * each.rows for each in found) == pytest.approx(answers.sum())
    assert [each.answered for each in found] == sorted({each.answered for each in found})


def test_binary_model_has_its_calibration() -> None:
    labels, answers = np.array([0.0, 0, 1, 1]), np.array([0.2, 0.2, 0.2, 0.8])

    found = diagnose(Binary(), labels, answers)

    assert isinstance(found, Calibration)
    assert [(each.answered, each.observed, each.rows) for each in found.bins] == [
        (pytest.approx(0.2), pytest.approx(1 / 3), 3),
        (0.8, 1, 1),
    ]


def test_confusion_is_by_the_class_of_the_label() -> None:
    """Of class 0 one of two rows is right; class 1 has no row; of class 2 two of three are taken for class 1."""
    labels, answers = np.array([0.0, 0, 2, 2, 2]), np.eye(3)[[0, 1, 1, 1, 2]]

    assert confusion_counts(labels, answers).tolist() == [[1, 1, 0], [0, 0, 0], [0, 2, 1]]
    found = diagnose(Multiclass(3), labels, answers)
    assert isinstance(found, Confusion)
    assert [(each.label, each.predicted, each.rows) for each in found.pairs] == [
        (2, 1, 2),
        (0, 0, 1),
        (0, 1, 1),
        (2, 2, 1),
    ]
    assert found.left_out == 0


def test_confusion_of_many_classes_stays_small() -> None:
    random = np.random.default_rng(0)
    labels, taken = random.integers(0, 40, (2, 3_000))
    counted = Counter(zip(labels.tolist(), taken.tolist(), strict=True))

    found = diagnose(Multiclass(40), labels.astype(float), np.eye(40)[taken])

    assert isinstance(found, Confusion)
    assert len(found.pairs) == 400
    assert all(counted[each.label, each.predicted] == each.rows for each in found.pairs)
    assert min(each.rows for each in found.pairs) == sorted(counted.values())[-400]
    assert found.left_out == 3_000 - sum(each.rows for each in found.pairs) > 0


@pytest.mark.parametrize("problem", [Regression(), Count()])
def test_model_of_numbers_has_its_residuals(problem: Regression | Count) -> None:
    """101 residuals from 0 to 100, so a quantile is its share in per cent."""
    answers = np.linspace(5, 6, 101)

    found = diagnose(problem, answers + np.arange(101.0), answers)

    assert isinstance(found, Residuals)
    assert found.mean == pytest.approx(50)
    assert found.quantiles == pytest.approx({f"{each / 100:g}": each for each in (1, 5, 25, 50, 75, 95, 99)})
    assert sum(each.rows for each in found.bins) == 101
