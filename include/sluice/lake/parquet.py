"""Reads the Parquet objects of the lake. One that is not what Sluice has written is named, with the next action."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.errors import UnreadableObject


def read_parquet(
    uri: str, body: bytes, remedy: str, *, schema: pa.Schema | None = None, rows: int | None = None
) -> pa.Table:
    """Return the table in an object.

    Args:
        uri: The ``s3://`` URI of the object, for the error.
        body: The content of the object.
        remedy: The next action if it can't be read, after "restore its former version, or".
        schema: The columns to read. One that may be null may be missing. None: all columns, as they are.
        rows: How many rows it has, as its manifest says; None if nothing says it.

    Raises:
        UnreadableObject: it is damaged, or no Parquet, or has other columns or another number of rows.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        if rows not in (None, file.metadata.num_rows):
            raise pa.ArrowInvalid(f"it has {file.metadata.num_rows} rows, and its manifest says {rows}")
        return file.read() if schema is None else _read(file, schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise UnreadableObject(
            f"{uri} can't be read ({why}): it is damaged, or something else wrote it; restore its former version, or "
            f"{remedy}"
        ) from error


def _read(file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    missing = [field for field in schema if field.name not in file.schema_arrow.names]
    lacks = ", ".join(field.name for field in missing if not field.nullable)
    if lacks:
        raise pa.ArrowInvalid(f"it has no column {lacks}")
    table = file.read(columns=[name for name in schema.names if name in file.schema_arrow.names])
    for field in missing:
        table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)
