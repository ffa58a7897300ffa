"""The digest of a table's content: the same for the same rows, whichever version of a library has written them.

It covers the names and types of the columns, and the values in their order; not how a table is cut into chunks, which
bytes stand where a value is null, or what Parquet adds. The layout of the values is that of Arrow's format
(https://arrow.apache.org/docs/format/Columnar.html).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DIGITS = 16
# The types that store the same values as another one.
_STORED_AS = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}


def content_digest(table: pa.Table) -> str:
    """Return the digest of a table, as sixteen hexadecimal digits.

    Args:
        table: The table. Its metadata does not count.
    """
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        _add(digest, name, _seen_as(column.type), _in_one_piece(column))
    return digest.hexdigest()[:_DIGITS]


def _in_one_piece(column: pa.ChunkedArray[Any]) -> Any:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays([_plain(chunk) for chunk in (*column.chunks, pa.array([], column.type))])


def _plain(array: Any) -> Any:
    """Return an array of values without what only stores them in another way."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(array.storage)
    if pa.types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    return array.cast(_STORED_AS[kind]) if kind in _STORED_AS else array


def _seen_as(kind: Any) -> str:
    """Return the type of a column as a step that reads it sees it."""
    if isinstance(kind, pa.BaseExtensionType):
        return f"{kind.extension_name} of {_seen_as(kind.storage_type)}"
    if pa.types.is_dictionary(kind):
        return f"{'ordered ' * kind.ordered}categories of {_seen_as(kind.value_type)}"
    if pa.types.is_fixed_size_list(kind):
        return f"list of {kind.list_size}"
    if pa.types.is_nested(kind):
        return "struct" if pa.types.is_struct(kind) else "map" if pa.types.is_map(kind) else "list"
    return str(_STORED_AS.get(kind, kind))


def _add(digest: Any, name: str, seen_as: str, array: Any) -> None:
    """Add a column: its name and type, how long it is, which values are null, and the others."""
    array = _plain(array)
    kind: Any = array.type
    digest.update(f"{len(name)} {name} {seen_as} {len(array)} {array.null_count} ".encode())
    if array.null_count:
        digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)))
        array = array.drop_null()
    if pa.types.is_struct(kind):
        for field, values in zip(kind, array.flatten(), strict=True):
            _add(digest, field.name, _seen_as(field.type), values)
    elif pa.types.is_map(kind):
        entries = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        _add(digest, "", "list", entries)
    elif pa.types.is_nested(kind):
        _add(digest, "", "lengths", pc.list_value_length(array).cast(pa.int64()))
        items = array.flatten()
        _add(digest, "", _seen_as(items.type), items)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        _add(digest, "", "lengths", pc.binary_length(array))
        digest.update(_letters(array))
    elif len(array) and not pa.types.is_null(kind):
        digest.update(_values(array.cast(pa.uint8()) if pa.types.is_boolean(kind) else array))


def _letters(array: Any) -> memoryview:
    """Return the bytes of all texts, without those that a slice has left out."""
    _, offsets, letters = array.buffers()
    if not len(array) or letters is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(letters)[ends[array.offset] : ends[array.offset + len(array)]]


def _values(array: Any) -> memoryview:
    """Return the bytes of values of a fixed width."""
    width = array.type.bit_width // 8
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]
