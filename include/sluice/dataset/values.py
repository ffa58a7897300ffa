"""Reads single raw values and whole columns of them as numbers or categories, both by the same rules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from sluice.errors import SluiceError

Numbers = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

LARGEST = 3.4028234663852886e38  # the model computes with 32-bit numbers
_SMALLER = f"a number of at most {LARGEST:.4g}"
_TRUTH = {"true": "1", "false": "0"}


class Unreadable(SluiceError):
    """Values that can't be read.

    Args:
        expected: What a value should be.
        example: A value that is not.
        count: How many are not.
        column: The name of their column; None for a single value.
    """

    def __init__(self, expected: str, example: object, count: int = 1, column: object = None) -> None:
        where = "" if column is None else f"column {column!r}: "
        super().__init__(f"{where}{count} of the values are not {expected}, such as {example!r}; correct the step")
        self.expected, self.example, self.count = expected, example, count


def number(value: object) -> float:
    """Return a value as the model's number: a truth value is 1 or 0, a missing value NaN.

    Args:
        value: None, NaN, a truth value or a number.

    Raises:
        Unreadable: it is something else, or too large for a 32-bit number.
    """
    found = _plain(value)
    if found is None:
        return np.nan
    if not isinstance(found, int | float | Decimal):
        raise Unreadable("a number", found)
    if not _is_within(found, LARGEST):
        raise Unreadable(_SMALLER, found)
    return float(found)


def category(value: object, *, whole: bool) -> str | None:
    """Return a value as the text that names its category; None if it is missing, which empty text is as well.

    Args:
        value: None, NaN, text, a whole number (also as a float) or a truth value.
        whole: Whether the categories are whole numbers and truth values. Then 1, 1.0, True, "1", "1.0" and "true" are
            the same one. Otherwise text is taken as it is, without the spaces around it.

    Raises:
        Unreadable: it is something else.
    """
    found = _plain(value)
    if found is None:
        return None
    if isinstance(found, bool):
        return str(int(found)) if whole else str(found).lower()
    if isinstance(found, int | float | Decimal) and _is_within(found, 2**63 - 1) and found == int(found):
        return str(int(found))
    if isinstance(found, str):
        return (_whole(found.strip()) if whole else found.strip()) or None
    raise Unreadable("text, a whole number of at most 64 bits or a truth value", found)


def _is_within(value: Any, most: float) -> bool:
    return bool(abs(value) <= most)


def _whole(text: str) -> str:
    """Return the text of a whole number or a truth value in its one form; other text as it is."""
    for read in (int, float):
        with suppress(ValueError, Unreadable):
            return category(read(text), whole=True) or text
    return _TRUTH.get(text.lower(), text)


def _plain(value: object) -> Any:
    """Return a value as Python has it; None if it is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return None if isinstance(value, float | Decimal) and value != value else value


def numbers(column: pd.Series[Any]) -> Numbers:
    """Return a column as the model's numbers.

    Args:
        column: Values of any type.

    Returns:
        What :func:`number` returns for each of them, of shape ``(rows,)``.

    Raises:
        Unreadable: some of them are no such numbers.
    """
    if not is_numeric_dtype(column.dtype):
        return _read_each(column, number, np.nan).astype(np.float64)
    found = column.to_numpy(np.float64, na_value=np.nan)
    too_large = np.abs(found) > LARGEST
    if too_large.any():
        raise Unreadable(_SMALLER, found[too_large][0].item(), int(too_large.sum()), column.name)
    return found


def categories(column: pd.Series[Any], *, whole: bool) -> Texts:
    """Return a column as the texts that name categories.

    Args:
        column: Values of any type.
        whole: As for :func:`category`.

    Returns:
        What :func:`category` returns for each of them, of shape ``(rows,)``.

    Raises:
        Unreadable: some of them are no categories.
    """
    return _read_each(column, lambda value: category(value, whole=whole), None)


def is_whole(column: pd.Series[Any]) -> bool | None:
    """Return whether a column holds numbers or truth values rather than text; None if it holds no value."""
    present = column.dropna()
    return None if present.empty else not isinstance(present.iloc[0], str)


def _read_each(column: pd.Series[Any], read: Callable[[object], object], missing: object) -> Texts:
    """Read each different value once."""
    different: Any
    try:
        codes, different = pd.factorize(column)
    except TypeError:  # lists and the like
        codes, different = np.where(column.isna(), -1, 0), column.dropna().iloc[:1]
    found = np.full(len(different) + 1, missing, dtype=object)  # the code of a missing value is -1: the last one
    refused: dict[int, Unreadable] = {}
    for code, value in enumerate(different):
        try:
            found[code] = read(value)
        except Unreadable as error:
            refused[code] = error
    if refused:
        first = next(iter(refused.values()))
        raise Unreadable(first.expected, first.example, int(np.isin(codes, list(refused)).sum()), column.name)
    return found[codes]
