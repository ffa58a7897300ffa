"""The formats of a file of events: JSON lines, and CSV with a header. Each yields one row at a time, with its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import TextIOWrapper
from typing import Any, BinaryIO

MEMBERS = ("id", "group", "event_time", "body")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# The number of a line, from 1, and what parses it. That raises ValueError, TypeError or RecursionError.
Line = tuple[int, Callable[[], Mapping[str, Any]]]


def json_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the objects of a file of JSON lines. Blank lines are passed over.

    Args:
        file: The file, in binary mode.
    """
    for number, line in enumerate(file, 1):
        text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if text.strip():
            yield number, lambda text=text: _object(text)  # type: ignore[misc]


def csv_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the rows of a CSV. Its columns are the members of an event.

    Columns beside id, group, event_time and body are members of the body, as text. Empty lines are passed over.

    Args:
        file: The file, in binary mode.

    Raises:
        ValueError: the text is not UTF-8, or no CSV.
    """
    reader = csv.reader(TextIOWrapper(file, encoding="utf-8-sig", newline=""), strict=True)
    rows = filter(None, reader)
    try:
        header = next(rows, [])
        if missing := [name for name in MEMBERS[:3] if name not in header]:
            raise ValueError(f"its header has no {', '.join(missing)}")
        for values in rows:
            yield reader.line_num, lambda values=values: _of_columns(header, values)  # type: ignore[misc]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no CSV ({error})") from error


def _object(line: bytes) -> Mapping[str, Any]:
    fields = json.loads(line.decode())
    if not isinstance(fields, dict):
        raise TypeError(f"it is {json_kind(fields)}")
    return fields


def _of_columns(header: Iterable[str], values: list[str]) -> Mapping[str, Any]:
    fields: dict[str, Any] = dict(zip(header, values, strict=True))
    others = {name: value for name, value in fields.items() if name not in MEMBERS}
    return {**{name: fields[name] for name in MEMBERS if name in fields}, **({"body": others} if others else {})}


def json_kind(value: object) -> str:
    """Name the kind of a JSON value, for an error message."""
    kinds: dict[type, str] = {type(None): "null", bool: "true or false", list: "a list", dict: "an object"}
    return kinds.get(type(value), "text" if isinstance(value, str) else "a number")
