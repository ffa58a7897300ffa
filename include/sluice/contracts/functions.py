"""Asks the functions of a flat contract once for each distinct value of a block, in place of once for each body.

A function of a member is asked for each value of the member. A function of the model is asked for each combination of
the members that it reads. A body whose values a function refuses or changes is left to pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import SchemaValidator

from sluice.contracts.flat import Flat
from sluice.contracts.followed import Followed, Stop

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 2**14  # answers: later blocks have many of the same values
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Distinct:
    """Values, or combinations of them, each once.

    Attributes:
        values: Each of them.
        places: Which of them each body has.
    """

    values: list[Any]
    places: npt.NDArray[np.int64]


class Functions:
    """The functions of a contract and of its members.

    Args:
        flat: The contract.
    """

    def __init__(self, flat: Flat) -> None:
        self._flat = flat
        self._keeps = lru_cache(_REMEMBERED)(Followed(flat.contract).keeps)

    def keep(self, columns: Mapping[str, pa.Array[Any]], fits: Mask) -> Mask:
        """Return which bodies fit, and hold only what all functions return as it is.

        Args:
            columns: The columns of members.
            fits: Which bodies fit, as far as is known.
        """
        distinct = _Columns(columns, fits)
        for name, member in self._flat.members.items():
            if member.function is not None:
                fits = fits & _each(partial(_is_kept, member.function), distinct[name])
        for function in self._flat.functions:
            rows = np.flatnonzero(fits)
            fits = fits.copy()
            fits[rows] = self._kept(function, distinct, rows)
        return fits

    def _kept(self, function: Callable[[Any], Any], columns: _Columns, rows: npt.NDArray[np.int64]) -> Mask:
        """Return for which bodies the function returns the model as it is; for none if it can't be followed."""
        read: list[str] = []
        combinations = _Distinct([()], np.zeros(len(rows), np.int64))
        calls = iter(range(len(rows) + len(self._flat.members)))  # more would take longer than pydantic does

        def ask(values: tuple[Any, ...]) -> bool:
            if next(calls, None) is None:
                raise Stop(None)
            return self._keeps(function, tuple(zip(read, values, strict=True)))

        while True:
            try:
                return _each(ask, combinations)
            except Stop as stop:
                if stop.member is None:
                    return np.zeros(len(rows), bool)
                read.append(stop.member)
                combinations = _combined(combinations, columns[stop.member], rows)


class _Columns:
    """The distinct values of members, as pydantic gives them to functions; None where a body does not fit."""

    def __init__(self, columns: Mapping[str, pa.Array[Any]], fits: Mask) -> None:
        self._columns, self._fits, self._all_fit = columns, pa.array(fits), bool(fits.all())
        self._found: dict[str, _Distinct] = {}

    def __getitem__(self, name: str) -> _Distinct:
        if name not in self._found:
            column: Any = self._columns[name]
            fitting: Any = column if self._all_fit else pc.if_else(self._fits, column, pa.scalar(None, column.type))
            encoded = fitting.dictionary_encode("encode")
            self._found[name] = _Distinct(_values(encoded.dictionary), encoded.indices.to_numpy())
        return self._found[name]


def _values(column: pa.Array[Any]) -> list[Any]:
    """Return the values of a column. All times are in UTC, as those of :func:`~sluice.records.times.parse_time`."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    since = (column.to_numpy(zero_copy_only=False) - np.datetime64(0, "us")).astype(object)
    return [None if each is None else _EPOCH + each for each in since]


def _each(ask: Callable[[Any], bool], distinct: _Distinct) -> Mask:
    """Return an answer for each body."""
    answers = np.fromiter(map(ask, distinct.values), bool, len(distinct.values))
    return answers[distinct.places]


def _is_kept(function: SchemaValidator, value: Any) -> bool:
    try:
        found = function.validate_python(value, strict=True)
    except Exception:  # the contract's own code may raise anything: pydantic gives the reason
        return False
    # Equal values may differ, such as zero and minus zero, or a moment in two zones.
    return found is value or (type(found) is type(value) and repr(found) == repr(value))


def _combined(combinations: _Distinct, column: _Distinct, rows: npt.NDArray[np.int64]) -> _Distinct:
    """Return combinations with one more member.

    Args:
        combinations: Tuples of values, for the chosen bodies.
        column: The values of the member, for all bodies.
        rows: The chosen bodies.
    """
    count = len(column.values)
    codes: Any = pa.array(combinations.places.astype(np.int64) * count + column.places[rows])
    encoded = codes.dictionary_encode()
    pairs = (divmod(code, count) for code in encoded.dictionary.to_pylist())
    values = [(*combinations.values[before], column.values[place]) for before, place in pairs]
    return _Distinct(values, encoded.indices.to_numpy())
