"""The importance of a feature is its share in the variance of the answers."""

from __future__ import annotations

import numpy as np
import pytest

from sluice.evaluation.importance import importance, sampled


def test_shares_are_those_of_the_variance() -> None:
    """Of ``3 a + b`` with independent standard normals, ``a`` makes 9 of 10 parts of the variance, and ``c`` none."""
    columns = np.random.default_rng(1).normal(size=(5_000, 3))

    found = importance(columns, ["a", "b", "c"], 3 * columns[:, 0] + columns[:, 1])

    assert found is not None
    assert found.shares == pytest.approx({"a": 0.9, "b": 0.1, "c": 0}, abs=0.02)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.explained > 0.95


def test_columns_of_one_feature_count_together() -> None:
    """Each of three equally frequent values has a column; the number beside them has the same variance."""
    random = np.random.default_rng(2)
    place = random.integers(0, 3, 5_000)
    number = random.normal(0, np.sqrt(2 / 3), 5_000)
    columns = np.column_stack([place == 0, place == 1, place == 2, number]).astype(float)

    found = importance(columns, ["carrier"] * 3 + ["delay"], place - 1 + number)

    assert found is not None
    assert found.shares == pytest.approx({"carrier": 0.5, "delay": 0.5}, abs=0.03)


def test_several_answers_of_a_row_count_together() -> None:
    columns = np.random.default_rng(3).normal(size=(2_000, 2))

    found = importance(columns, ["a", "b"], columns * (2, 1))

    assert found is not None
    assert found.shares == pytest.approx({"a": 0.8, "b": 0.2}, abs=0.05)


def test_missing_values_are_values() -> None:
    columns = np.random.default_rng(4).normal(size=(2_000, 2))
    missing = columns[:, 1] > 0
    columns[missing, 0] = np.nan

    found = importance(columns[:, :1], ["a"], missing.astype(float))

    assert found is not None
    assert found.explained > 0.95


def test_answers_that_follow_no_feature_are_told_by_what_is_explained() -> None:
    random = np.random.default_rng(5)

    found = importance(random.normal(size=(2_000, 2)), ["a", "b"], random.normal(size=2_000))

    assert found is not None
    assert found.explained < 0.05


def test_one_answer_for_all_rows_follows_nothing() -> None:
    assert importance(np.ones((20, 1)), ["a"], np.full(20, 0.3)) is None
    assert importance(np.ones((20, 1)), ["a"], np.full((20, 3), 0.3)) is None


def test_importance_is_the_same_each_time() -> None:
    columns = np.random.default_rng(6).normal(size=(300, 2))

    assert importance(columns, ["a", "b"], columns[:, 0]) == importance(columns, ["a", "b"], columns[:, 0])


def test_sample_is_spread_over_all_rows() -> None:
    assert sampled(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert sampled(101, 5).tolist() == [0, 25, 50, 75, 100]
    assert sampled(1, 5).tolist() == [0]
