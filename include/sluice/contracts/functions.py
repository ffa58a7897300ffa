"""Asks the functions of a flat contract once for each distinct value of a block, in place of once for each body.

A function of a member is asked for each value of the member. A function of the model is asked for each combination of
the members that it reads. A body whose values a function refuses or changes is left to pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import SchemaValidator

from sluice.contracts.flat import Flat, Member
from sluice.contracts.followed import Followed, Stop
from sluice.records.times import parse_time

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
        self._flat, self._followed = flat, Followed(flat.contract)

    def keep(self, table: pa.Table, fits: Mask) -> Mask:
        """Return which bodies fit and are kept by all functions as they are.

        Args:
            table: The members of bodies, as Arrow reads them.
            fits: Which bodies fit, as far as is known.
        """
        members = self._flat.members
        distinct = _Columns(table, members, fits)
        for name, member in members.items():
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
        while True:
            try:
                return _each(lambda values: self._followed.keeps(function, dict(zip(read, values))), combinations)
            except Stop as stop:
                if stop.member is None:
                    return np.zeros(len(rows), bool)
                read.append(stop.member)
                combinations = _combined(combinations, columns[stop.member], rows)


class _Columns:
    """The distinct values of members, as pydantic gives them to functions; None where a body does not fit."""

    def __init__(self, table: pa.Table, members: Mapping[str, Member], fits: Mask) -> None:
        self._table, self._members, self._fits = table, members, pa.array(fits)
        self._found: dict[str, _Distinct] = {}

    def __getitem__(self, name: str) -> _Distinct:
        if name not in self._found:
            column: Any = self._table[name].combine_chunks()
            fitting: Any = pc.if_else(self._fits, column, pa.scalar(None, column.type))
            encoded = fitting.dictionary_encode("encode")
            values = encoded.dictionary.to_pylist()
            if self._members[name].is_time:
                values = [None if text is None else parse_time(text) for text in values]
            self._found[name] = _Distinct(values, encoded.indices.to_numpy())
        return self._found[name]


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
