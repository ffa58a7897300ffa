"""A raw value is read by the same rules whether it is one of a column or alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sluice.dataset.values import Unreadable, categories, category, is_whole, number, numbers


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, 2]), [1.0, 2.0]),
        (pd.Series([True, False]), [1.0, 0.0]),
        (pd.Series([True, None], dtype="boolean"), [1.0, None]),
        (pd.Series([7, None], dtype="Int64"), [7.0, None]),
        (pd.Series([Decimal("1.5"), None], dtype=object), [1.5, None]),
        (pd.Series([3, None], dtype="Int64").astype("category"), [3.0, None]),
        (pd.Series([None, None], dtype=object), [None, None]),
        (pd.Series([0.1, float("nan")], dtype="float32"), [float(np.float32(0.1)), None]),
    ],
)
def test_column_of_any_type_of_numbers_is_read(column: pd.Series[Any], expected: list[float | None]) -> None:
    found = numbers(column)

    assert found.dtype == np.float64
    assert [None if np.isnan(each) else each for each in found] == expected


@pytest.mark.parametrize(
    ("column", "expected", "count", "example"),
    [
        (pd.Series(["a", None, "b"]), "a number", 2, "a"),
        (pd.Series(["1"]), "a number", 1, "1"),
        (pd.Series([1.0, np.inf, -np.inf]), "a number of at most 3.403e+38", 2, np.inf),
        (pd.Series([1e39]), "a number of at most 3.403e+38", 1, 1e39),
        (pd.Series([[1], None, [2]]), "a number", 2, [1]),
        (pd.Series(["x", "y", "x"], dtype="category"), "a number", 3, "x"),
    ],
)
def test_what_is_no_number_is_counted(column: pd.Series[Any], expected: str, count: int, example: object) -> None:
    with pytest.raises(Unreadable) as refused:
        numbers(column)

    assert (refused.value.expected, refused.value.count, refused.value.example) == (expected, count, example)


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "1.0", " 1 ", "true", "True", Decimal(1), np.int64(1)])
def test_a_whole_number_has_one_name_in_every_form(value: object) -> None:
    assert category(value, whole=True) == "1"


@pytest.mark.parametrize("value", [2**53 + 1, str(2**53 + 1), np.int64(2**53 + 1)])
def test_a_large_whole_number_keeps_its_last_digit(value: object) -> None:
    assert category(value, whole=True) == "9007199254740993"


@pytest.mark.parametrize(
    ("value", "name"),
    [("1.0", "1.0"), ("01", "01"), (1, "1"), (1.0, "1"), (True, "true"), (" UA ", "UA"), ("", None), (None, None)],
)
def test_text_is_a_name_as_it_is(value: object, name: str | None) -> None:
    assert category(value, whole=False) == name


@pytest.mark.parametrize("value", [1.5, float("inf"), 2**63, [1], {"a": 1}, pd.Timestamp("2013-01-01"), b"x"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_no_category_is_refused(value: object, whole: bool) -> None:
    with pytest.raises(Unreadable, match="text, a whole number of at most 64 bits or a truth value"):
        category(value, whole=whole)


@pytest.mark.parametrize("value", ["1", [], "", b"1", pd.Timestamp("2013-01-01")])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(Unreadable, match=r"^1 of the values are not a number, such as"):
        number(value)


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT, np.float64("nan")])
def test_every_form_of_a_missing_value_is_one(value: object) -> None:
    assert np.isnan(number(value))
    assert category(value, whole=True) is None


@pytest.mark.parametrize(
    ("column", "whole"),
    [
        (pd.Series([None, 1], dtype="Int64"), True),
        (pd.Series([True]), True),
        (pd.Series([None, "a"]), False),
        (pd.Series(["a"], dtype="category"), False),
        (pd.Series([None], dtype=object), None),
    ],
)
def test_column_is_told_to_be_whole_numbers_or_text(column: pd.Series[Any], whole: bool | None) -> None:
    assert is_whole(column) is whole
    assert len(categories(column, whole=bool(whole))) == len(column)
