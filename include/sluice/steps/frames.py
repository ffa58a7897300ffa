"""Converts objects in S3 to the DataFrames of steps and back. Column types do not depend on the partition's values."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sluice.errors import SluiceError

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


def parquet_bytes(table: pa.Table) -> bytes:
    """Parquet, zstd. Library versions that pandas leaves in the metadata are dropped: same rows, same bytes."""
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
    return buffer.getvalue()


def read_object(key: str, body: bytes) -> pa.Table:
    """The table in a ``.parquet`` or ``.csv`` object (CSV with a header).

    Raises:
        SluiceError: the key has another suffix.
    """
    match PurePosixPath(key).suffix:
        case ".parquet":
            return pq.read_table(io.BytesIO(body))
        case ".csv":
            return pyarrow.csv.read_csv(io.BytesIO(body))
        case suffix:
            raise SluiceError(f"{key} ends in {suffix!r}; a step can read .parquet and .csv")


def to_frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """The rows of several tables, in their order, in nullable columns; no tables make a frame without columns."""
    if not tables:
        return pd.DataFrame()
    # A partition whose column is all null has no type of its own: it takes the others'.
    whole = pa.concat_tables(tables, promote_options="permissive")
    return whole.to_pandas(types_mapper=_NULLABLE.get)
