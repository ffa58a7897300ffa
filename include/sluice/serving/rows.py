"""Reads rows for the live model: CSV in the declared order or with a header, or lines of JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sluice.errors import SluiceError

_LARGEST = 3.4028234663852886e38  # the model computes with 32-bit numbers
_BYTE_ORDER_MARK = "\ufeff"


class BadRow(SluiceError):
    """A row that can't be scored. The message names line, column and the expected form."""


def model_rows(lines: Iterable[bytes], features: Sequence[str]) -> Iterator[str]:
    """Yield each row as CSV in the order of ``features``, a missing value an empty field. Blank lines are skipped.

    If the first line of CSV names a feature, it is a header, and the rows below are in its order.

    Args:
        lines: Each a JSON object of features by name, or CSV; in UTF-8.
        features: The columns that the model takes, in order.

    Raises:
        BadRow: a line is neither, or a value is not a number.
    """
    header: Sequence[str] | None = None
    for number, line in enumerate(lines, 1):
        text = _decoded(line, number)
        if text.startswith("{"):
            yield _row(_members(text, number, features), features)
        elif text:
            cells = _cells(text, number)
            if header is not None:
                yield _row(_named(cells, header, number), features)
            elif not set(cells).isdisjoint(features):
                header = _header(cells, number, features)
            else:
                header = features
                yield _row(_named(cells, header, number), features)


def _decoded(line: bytes, number: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadRow(f"line {number} is not UTF-8 ({error})") from error
    return (text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text).strip()


def _cells(text: str, number: int) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text]))]
    except csv.Error as error:
        raise BadRow(f"line {number} is no CSV ({error})") from error


def _header(cells: Sequence[str], number: int, features: Sequence[str]) -> Sequence[str]:
    for column, name in enumerate(cells, 1):
        if name not in features:
            raise BadRow(f"line {number} column {column}: {_shown(name)} in the header is no feature of the model")
        if cells.index(name) < column - 1:
            raise BadRow(f"line {number} column {column}: the header names {name} twice")
    return cells


def _named(cells: Sequence[str], header: Sequence[str], number: int) -> Mapping[str, float]:
    if len(cells) != len(header):
        raise BadRow(f"line {number} has {len(cells)} columns, expected {len(header)}: {', '.join(header)}")
    named = zip(header, cells, strict=True)
    return {
        name: _of_text(cell, f"line {number} column {place} ({name})") for place, (name, cell) in enumerate(named, 1)
    }


def _members(text: str, number: int, features: Sequence[str]) -> Mapping[str, float]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"line {number} is no JSON object ({error or 'nested too deep'})") from error
    unknown = [_shown(name) for name in members if name not in features]
    if unknown:
        raise BadRow(f"line {number} has features that the model does not know: {', '.join(unknown)}")
    return {name: _of_json(value, f"line {number} feature {name}") for name, value in members.items()}


def _of_text(cell: str, where: str) -> float:
    """Return the number in a cell; NaN if the cell is empty."""
    try:
        return _of_number(float(cell), cell, where) if cell else math.nan
    except ValueError:
        raise BadRow(f"{where} is {_shown(cell)}; expected a number, or nothing where it is missing") from None


def _of_json(value: object, where: str) -> float:
    """Return the number of a JSON value; NaN if the value is null."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float):
        raise BadRow(f"{where} is {_shown(value)}; expected a number, or null where it is missing")
    try:
        return _of_number(float(value), value, where)
    except OverflowError:
        return _of_number(math.inf, value, where)


def _of_number(number: float, value: object, where: str) -> float:
    if abs(number) > _LARGEST:
        raise BadRow(f"{where} is {_shown(value)}; expected a number of at most {_LARGEST:.4g}")
    return number


def _row(values: Mapping[str, float], features: Sequence[str]) -> str:
    named = (values.get(name, math.nan) for name in features)
    return ",".join("" if math.isnan(value) else repr(value) for value in named)


def _shown(value: object) -> str:
    """Return a value for a message, as Python writes it, cut to 60 characters."""
    is_long = isinstance(value, int) and abs(value) >= 10**40  # Python refuses to write thousands of digits
    text = "a whole number of more than 40 digits" if is_long else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
