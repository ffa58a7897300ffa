"""Converts the columns of a file to their declared types, if that loses nothing.

A time is cut to microseconds, as everywhere in Sluice. Everything else that would change a value is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from sluice.declaration.column_types import DECIMAL, TIMESTAMP, inner, members
from sluice.records.times import TimeFault, parse_time
from sluice.sources.drops.formats.contract import UnreadableFile

_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LARGEST_DIGITS = 60


class _Unfit(Exception):
    """A value has no equal in the declared type."""


def arrow_type(kind: str) -> pa.DataType:
    """Return the type of a declared name.

    Args:
        kind: A name that :mod:`sluice.declaration.column_types` allows.
    """
    if decimal := DECIMAL.fullmatch(kind):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if TIMESTAMP.fullmatch(kind):
        return pa.timestamp("us", "UTC")
    if kind.startswith("list<"):
        return pa.list_(arrow_type(inner(kind)))
    if kind.startswith("struct<"):
        return pa.struct([(name, arrow_type(member)) for name, member in members(kind)])
    named: pa.DataType = pa.type_for_alias(kind)  # type: ignore[call-overload]  # its stub lists the names
    return named


def with_schema(table: pa.Table, schema: Mapping[str, str]) -> pa.Table:
    """Return the declared columns of a table, in their types. A column that the table does not have is missing.

    Args:
        table: What a file holds.
        schema: The declared columns and types.

    Raises:
        UnreadableFile: the table has none of the columns, or a value has no equal in the declared type.
    """
    if table.num_rows and not set(schema) & set(table.column_names):
        raise UnreadableFile(f"it has none of the declared columns; it has {', '.join(table.column_names) or 'none'}")
    columns = [_declared(table, name, kind) for name, kind in schema.items()]
    return pa.Table.from_arrays(columns, names=list(schema))


def _declared(table: pa.Table, name: str, kind: str) -> pa.ChunkedArray[Any]:
    wanted = arrow_type(kind)
    if name not in table.column_names:
        return pa.chunked_array([pa.array([None] * table.num_rows, wanted)])
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.type == wanted:
        return column
    return _each(column, name, kind, wanted)


def _each(column: pa.ChunkedArray[Any], name: str, kind: str, wanted: pa.DataType) -> pa.ChunkedArray[Any]:
    """Convert each different value once. Of text for a column that is none, an empty value is missing."""
    convert, physical = _converter(kind), column.type
    encoded = None if pa.types.is_nested(physical) else column.combine_chunks().dictionary_encode()
    missing = "" if pa.types.is_string(physical) and kind not in ("string", "binary") else None
    converted, value = [], None
    for scalar in column if encoded is None else encoded.dictionary:
        try:
            value = scalar.as_py()
            converted.append(None if value is None or value == missing else convert(value))
        except (_Unfit, TimeFault, ValueError, InvalidOperation, OverflowError, TypeError, KeyError) as error:
            raise UnreadableFile(
                f"column {name!r} is {physical}, and its value {value!r} is no {kind}, as declared"
            ) from error
    try:
        array = pa.array(converted, wanted)
    except (pa.ArrowException, OverflowError) as error:
        raise UnreadableFile(
            f"column {name!r} is {physical}, and not all of its values are {kind}, as declared"
        ) from error
    return pa.chunked_array([array if encoded is None else array.take(encoded.indices)])


def _converter(kind: str) -> Callable[[Any], Any]:
    """Return the function that converts one value, which is not None, or raises."""
    if kind.startswith("list<"):
        item = _optional(_converter(inner(kind)))
        return lambda value: [item(each) for each in _require(value, list)]
    if kind.startswith("struct<"):
        of = {name: _optional(_converter(member)) for name, member in members(kind)}
        return lambda value: {name: convert(_require(value, dict).get(name)) for name, convert in of.items()}
    if decimal := DECIMAL.fullmatch(kind):
        return lambda value: _decimal(value, int(decimal[1]), int(decimal[2]))
    if zoned := TIMESTAMP.fullmatch(kind):
        return lambda value: _time(value, zoned[1])
    return _CONVERTERS.get(kind, _whole)


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _require(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _Unfit
    return value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Unfit
    return str(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise _Unfit
    number = Decimal(_plain(value) if isinstance(value, str) else value)
    if number != number.to_integral_value():
        raise _Unfit
    return int(number)


def _real(value: Any) -> float:
    if isinstance(value, bool):
        raise _Unfit
    number = float(_plain(value) if isinstance(value, str) else value)
    if not isinstance(value, str | float) and Decimal(number) != Decimal(value):
        raise _Unfit
    return number


def _truth(value: Any) -> bool:
    return _TRUTH[str(value).lower()]


def _date(value: Any) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise _Unfit
    return value


def _time(value: Any, zone: str) -> datetime:
    if isinstance(value, str):
        return parse_time(value, zone=zone)
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())  # the midnight of a date
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    if isinstance(value, bool):
        raise _Unfit
    number = Decimal(repr(value) if isinstance(value, float) else _plain(value) if isinstance(value, str) else value)
    with localcontext() as context:
        context.prec = _LARGEST_DIGITS
        exact = number.quantize(Decimal(1).scaleb(-scale))
    if exact != number or len(exact.as_tuple().digits) > precision:
        raise _Unfit
    return exact


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else _require(value, bytes)


def _plain(text: str) -> str:
    """Return the text of a number, which Python would also take with blanks and underscores."""
    if "_" in text or text != text.strip():
        raise _Unfit
    return text


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "string": _text,
    "bool": _truth,
    "double": _real,
    "date32": _date,
    "binary": _bytes,
}
