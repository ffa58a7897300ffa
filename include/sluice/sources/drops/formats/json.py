"""Reads JSON objects: one a line, one after the other, or in one array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sluice.declaration.file_formats import JsonLines
from sluice.sources.drops.formats.contract import UnreadableFile, decoded, unpacked

_BLANKS = re.compile(r"[ \t\r\n]*")


def read(body: bytes, form: JsonLines) -> pa.Table:
    """Return the table in a file.

    Args:
        body: The file's content.
        form: The declared format, which has no choices.

    Raises:
        UnreadableFile: it is no JSON, or holds something else than objects, or a column holds different types.
    """
    rows = list(_objects(decoded(unpacked(body), "utf-8")))
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UnreadableFile(f"value {number} is a JSON {type(row).__name__}, not an object")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _objects(text: str) -> Iterator[Any]:
    """Yield the values of a text one after the other; of a text that is one array, its items."""
    decoder, place, count = json.JSONDecoder(), _after_blanks(text, 0), 0
    is_array = text.startswith("[", place)
    while place < len(text):
        count += 1
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise UnreadableFile(f"value {count} is no JSON ({error})") from error
        place = _after_blanks(text, place)
        if is_array and place == len(text):
            yield from value
        else:
            yield value


def _after_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return place if found is None else found.end()


def _column(name: str, values: list[Any]) -> pa.Array[Any]:
    try:
        column: pa.Array[Any] = pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise UnreadableFile(
            f"column {name!r} holds {' and '.join(kinds)} ({str(error).splitlines()[0]}), which no column can"
        ) from error
    return column
