"""Reads Parquet."""

from __future__ import annotations

import io
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.declaration.file_formats import Parquet
from sluice.sources.drops.formats.contract import UnreadableFile


def read(body: bytes, form: Parquet) -> pa.Table:
    """Return the table in a file.

    Args:
        body: The file's content.
        form: The declared format, which has no choices.

    Raises:
        UnreadableFile: it is truncated or no Parquet, or two of its columns have one name.
    """
    try:
        table = pq.ParquetFile(io.BytesIO(body)).read()
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"it is truncated, or no Parquet ({str(error).splitlines()[0]})") from error
    for name, count in Counter(table.column_names).items():
        if count > 1:
            types = " and ".join(str(field.type) for field in table.schema if field.name == name)
            raise UnreadableFile(
                f"column {name!r} is there {count} times ({types}), so it is not clear which one is meant"
            )
    return table
