"""Converts objects in S3 to the DataFrames of steps and back. Column types do not depend on the partition's values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.extensions import ExtensionDtype

from sluice.errors import SluiceError
from sluice.lake.parquet import read_parquet

# With fewer rows, dictionaries of values make an object larger, and cost a third of the time to write and to read it.
_MANY = 2**14

# A column must not turn from int to float because one partition has a gap in it.
_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}

# pandas would make objects of these, whose type depends on the values.
_ARROW_BACKED = (
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as Parquet, compressed with zstd. The same rows give the same bytes."""
    buffer, plain = pa.BufferOutputStream(), table.replace_schema_metadata(None)  # pandas leaves its version there
    pq.write_table(plain, buffer, compression="zstd", use_dictionary=table.num_rows >= _MANY)
    return buffer.getvalue().to_pybytes()


def read_object(uri: str, body: bytes, remedy: str, rows: int | None = None) -> pa.Table:
    """Return the table in an object that holds rows of a step.

    Args:
        uri: The object's ``s3://`` URI.
        body: The object's content, which is Parquet.
        remedy: The next action if it can't be read, as :func:`sluice.lake.parquet.read_parquet` takes it.
        rows: How many rows it has, as its manifest says; None if nothing says it.

    Raises:
        UnreadableObject: it is damaged, or something else wrote it.
        SluiceError: two of its columns have one name.
    """
    table = read_parquet(uri, body, remedy, rows=rows)
    for name, count in Counter(table.column_names).items():
        if count > 1:
            raise SluiceError(f"{uri} has {count} columns {name!r}; let the step return one, then clear its task")
    return table


def to_frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """Return the rows of several tables of the same columns, in their order.

    Returns:
        A frame whose columns can hold every value of theirs exactly; without any table, a frame without columns.
    """
    if not tables:
        return pd.DataFrame()
    return pa.concat_tables(tables).to_pandas(types_mapper=_column_type)


def _column_type(kind: pa.DataType) -> ExtensionDtype | None:
    """Return the pandas type of a column; None for pandas's own choice, which is exact."""
    if pa.types.is_nested(kind) or any(is_kind(kind) for is_kind in _ARROW_BACKED):
        return pd.ArrowDtype(kind)
    return _NULLABLE.get(kind)
