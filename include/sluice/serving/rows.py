"""Reads raw rows for a model: CSV in the declared order or with a header, or lines of JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from sluice.dataset.encodings import Encoding
from sluice.dataset.formats.csv import csv_rows
from sluice.dataset.values import Unreadable
from sluice.errors import SluiceError

_ROWS_AT_ONCE = 1_000
_BYTE_ORDER_MARK = "\ufeff"

Row = Mapping[str, object]


class BadRow(SluiceError):
    """A row that can't be scored. The message names line, column and the expected form."""


def model_rows(lines: Iterable[bytes], encoding: Encoding, *, filled: bool) -> Iterator[str]:
    """Yield each row as the model takes it. Blank lines are skipped.

    If the first line of CSV names a feature, it is a header, and the rows below are in its order.

    Args:
        lines: Each a JSON object of raw values by the names of the features, or CSV of raw values; in UTF-8.
        encoding: That of the snapshot on which the model was trained.
        filled: Whether the model takes no missing values.

    Raises:
        BadRow: a line is neither, or a value is not of the feature's kind.
    """
    rows = _rows(lines, encoding)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        yield from csv_rows(encoding.encode_rows(some, filled=filled))


def _rows(lines: Iterable[bytes], encoding: Encoding) -> Iterator[Row]:
    """Yield the raw values of each row by name."""
    features, header = encoding.features, None
    for number, line in enumerate(lines, 1):
        text = _decoded(line, number)
        if text.startswith("{"):
            yield _members(text, number, encoding)
        elif text:
            cells = _cells(text, number)
            if header is not None:
                yield _named(cells, header, number, encoding)
            elif not set(cells).isdisjoint(features):
                header = _header(cells, number, features)
            else:
                header = features
                yield _named(cells, header, number, encoding)


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


def _named(cells: Sequence[str], header: Sequence[str], number: int, encoding: Encoding) -> Row:
    if len(cells) != len(header):
        raise BadRow(f"line {number} has {len(cells)} columns, expected {len(header)}: {', '.join(header)}")
    given, row = dict(zip(header, cells, strict=True)), {}
    for column in encoding.columns:
        cell = given.get(column.feature, "")
        try:
            row[column.feature] = column.read_text(cell)
        except Unreadable as error:
            where = f"line {number} column {header.index(column.feature) + 1} ({column.feature})"
            raise BadRow(
                f"{where} is {_shown(cell)}; expected {error.expected}, or nothing where it is missing"
            ) from error
    return row


def _members(text: str, number: int, encoding: Encoding) -> Row:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"line {number} is no JSON object ({error or 'nested too deep'})") from error
    unknown = [_shown(name) for name in members if name not in encoding.features]
    if unknown:
        raise BadRow(f"line {number} has features that the model does not know: {', '.join(unknown)}")
    row = {}
    for column in encoding.columns:
        value = members.get(column.feature)
        try:
            row[column.feature] = column.read_value(value)
        except Unreadable as error:
            where = f"line {number} feature {column.feature}"
            raise BadRow(
                f"{where} is {_shown(value)}; expected {error.expected}, or null where it is missing"
            ) from error
    return row


def _shown(value: object) -> str:
    """Return a value for a message, as Python writes it, cut to 60 characters."""
    is_long = isinstance(value, int) and abs(value) >= 10**40  # Python refuses to write thousands of digits
    text = "a whole number of more than 40 digits" if is_long else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
