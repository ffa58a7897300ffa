"""The types of columns of files, as a user declares them: the names that pyarrow prints.

``string``, ``bool``, ``int8`` to ``int64``, ``uint8`` to ``uint64``, ``double``, ``binary``, ``date32``,
``decimal128(PRECISION, SCALE)``, ``timestamp[us, ZONE]``, ``list<TYPE>`` and ``struct<NAME: TYPE, …>``. A time without
an offset is in the zone of its column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from sluice.declaration.checks import check_zone
from sluice.errors import DeclarationError

PLAIN = (
    *("string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("double", "binary", "date32"),
)
DECIMAL = re.compile(r"decimal128\((\d{1,2}), ?(\d{1,2})\)")
TIMESTAMP = re.compile(r"timestamp\[us, ?(?:tz=)?([^\],]+)\]")
_MOST_DIGITS = 38
_CLOSING = {"<": ">", "(": ")", "[": "]"}


def check_schema(where: str, schema: object) -> None:
    """Require None, or a mapping of at least one column to its type.

    Args:
        where: The owner, such as ``source weather``.
        schema: What the user declared.

    Raises:
        DeclarationError: it is something else, or a type is unknown.
    """
    if schema is None:
        return
    if not isinstance(schema, Mapping) or not schema:
        raise DeclarationError(f"{where}: schema={schema!r} must be a dict such as {{'station': 'string'}}, or None")
    for name, kind in schema.items():
        check_text_type(f"{where}, column {name!r}", kind)


def check_text_type(where: str, kind: Any) -> None:
    """Require the name of a type.

    Args:
        where: The owner, such as ``source weather, column 'wind'``.
        kind: What the user declared.

    Raises:
        DeclarationError: the type is unknown.
    """
    if not isinstance(kind, str):
        _refuse(where, kind)
    if kind in PLAIN:
        return
    if decimal := DECIMAL.fullmatch(kind):
        if not 1 <= int(decimal[1]) <= _MOST_DIGITS or int(decimal[2]) > int(decimal[1]):
            _refuse(where, kind)
    elif zoned := TIMESTAMP.fullmatch(kind):
        check_zone(where, "timestamp", zoned[1])
    elif kind.startswith("list<") and kind.endswith(">"):
        check_text_type(where, inner(kind))
    elif kind.startswith("struct<") and kind.endswith(">"):
        for name, member in members(kind):
            check_text_type(f"{where}, member {name!r}", member)
    else:
        _refuse(where, kind)


def inner(kind: str) -> str:
    """Return what stands between the outer ``<`` and ``>`` of a type."""
    return kind.partition("<")[2][:-1].strip()


def members(kind: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the type of each member of a struct type."""
    closers, start, text = "", 0, f"{inner(kind)},"
    for place, character in enumerate(text):
        if character in _CLOSING:
            closers += _CLOSING[character]
        elif closers.endswith(character):
            closers = closers[:-1]
        elif character == "," and not closers:
            name, _, member = text[start:place].partition(":")
            yield name.strip(), member.strip()
            start = place + 1


def _refuse(where: str, kind: object) -> NoReturn:
    raise DeclarationError(
        f"{where}: type {kind!r} is unknown; it can be {', '.join(PLAIN)}, decimal128(12, 2), timestamp[us, UTC], "
        f"list<string> or struct<name: string>"
    )
