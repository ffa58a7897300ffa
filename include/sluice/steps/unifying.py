"""Gives tables of one dataset the same columns, where that loses nothing.

Types differ where partitions were made by different versions of the code, or where a column has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sluice.errors import SluiceError

Named = tuple[str, pa.Table]


def unified(tables: Sequence[Named]) -> list[pa.Table]:
    """Return tables with the columns of all of them, in the order in which they appear.

    A column that a table lacks is null there. A type becomes a wider one only if each value stays what it is.

    Args:
        tables: Each with its key.

    Raises:
        SluiceError: a column has two types that no type holds without loss.
    """
    columns: dict[str, list[tuple[str, pa.DataType]]] = {}
    for key, table in tables:
        for field in table.schema:
            columns.setdefault(field.name, []).append((key, field.type))
    schema = pa.schema([(name, _common(name, kinds)) for name, kinds in columns.items()])
    return [_with_types(key, table, schema, columns) for key, table in tables]


def _common(name: str, kinds: Sequence[tuple[str, pa.DataType]]) -> pa.DataType:
    first, common = kinds[0]
    for key, kind in kinds[1:]:
        if kind == common:
            continue
        try:
            common = _wider(common, kind)
        except pa.ArrowException as error:
            raise _refused(name, (first, kinds[0][1]), (key, kind)) from error
    return common


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the narrowest type of both, as Arrow promotes them."""
    pair = [_plain(one), _plain(other)]
    if {pa.types.is_binary(kind) or pa.types.is_large_binary(kind) for kind in pair if kind != pa.null()} == {
        True,
        False,
    }:
        raise pa.ArrowTypeError("bytes are no text")
    schemas = [pa.schema([("column", kind)]) for kind in pair]
    wider: pa.DataType = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    return wider


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return a type without what only shows or stores the same values in another way."""
    if isinstance(kind, pa.DictionaryType):
        plain: pa.DataType = kind.value_type
        return plain
    if isinstance(kind, pa.TimestampType) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    return kind


def _with_types(
    key: str, table: pa.Table, schema: pa.Schema, columns: dict[str, list[tuple[str, pa.DataType]]]
) -> pa.Table:
    if table.schema == schema:
        return table.replace_schema_metadata(None)  # that of pandas would hide a column that was an index
    arrays = []
    for field in schema:
        column = table[field.name] if field.name in table.column_names else pa.chunked_array([pa.nulls(table.num_rows)])
        cast = _exactly(column, field.type)
        if cast is None:
            other = next(known for known in columns[field.name] if known[1] != column.type)
            raise _refused(field.name, other, (key, column.type))
        arrays.append(cast)
    return pa.table(arrays, schema=schema)


def _exactly(column: pa.ChunkedArray[Any], kind: pa.DataType) -> pa.ChunkedArray[Any] | None:
    """Return a column of another type; None if a value would change."""
    try:
        cast = column.cast(kind)
        is_exact = column.type in (kind, pa.null()) or cast.cast(column.type) == column
    except pa.ArrowException:
        return None
    return cast if is_exact else None


def _refused(name: str, one: tuple[str, pa.DataType], other: tuple[str, pa.DataType]) -> SluiceError:
    return SluiceError(
        f"column {name!r} is {one[1]} in {one[0]} and {other[1]} in {other[0]}, and no type holds both without loss; "
        f"run the step that writes them over both partitions again, or, if they were dropped, declare their schema"
    )
