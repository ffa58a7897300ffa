"""Makes the output of a step of what its function returned, or says in the user's words why that can't be stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from sluice.errors import DeclarationError, SluiceError
from sluice.lake.partitions import Partition
from sluice.steps.frames import parquet_bytes

_BEYOND = 2**63


def frame_of(where: str, returned: object) -> pd.DataFrame:
    """Return what a function returned, if it is a frame that can be stored by its columns.

    Args:
        where: The step, its function and the partition, for messages.
        returned: What the function returned.

    Raises:
        DeclarationError: it is no DataFrame, or its index has a name.
        SluiceError: two of its columns have the same name.
    """
    if not isinstance(returned, pd.DataFrame):
        raise DeclarationError(f"{where} returned {type(returned).__name__}; return a DataFrame")
    names = [str(name) for name in returned.index.names if name is not None]
    if names:
        raise DeclarationError(f"{where} returned {', '.join(names)} as index, which is not kept; return reset_index()")
    twice = [name for name, count in Counter(map(str, returned.columns)).items() if count > 1]
    if twice:
        raise SluiceError(f"{where} returned two columns {twice[0]!r}; rename one of them, then clear this task")
    return returned


def rows_and_state(where: str, returned: object, state_by: str) -> tuple[pd.DataFrame, pa.Table]:
    """Return what a function with a state returned: the rows as a frame, and the state as a table, by group.

    Args:
        where: The step, its function and the partition, for messages.
        returned: What the function returned.
        state_by: The column of the groups.

    Raises:
        DeclarationError: it is no pair of frames, or the state has not one row for each group.
        SluiceError: two of its columns have the same name, or the state can't be stored.
    """
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise DeclarationError(
            f"{where} returned {type(returned).__name__}, but its step has state_by; return a pair (rows, state)"
        )
    as_state = f"{where}, as state,"
    rows, state = frame_of(where, returned[0]), frame_of(as_state, returned[1])
    if not len(state.columns) and not len(state):
        return rows, table_of(as_state, state)  # as it comes at first
    if state_by not in state.columns:
        raise DeclarationError(f"{as_state} returned no column {state_by!r}; return it, with one row for each group")
    groups = state[state_by]
    if groups.isna().any():
        raise DeclarationError(
            f"{as_state} returned a row without a {state_by!r}; leave it out, or give these rows a group of their own"
        )
    if groups.duplicated().any():
        twice = groups[groups.duplicated()].iloc[0]
        raise DeclarationError(f"{as_state} returned two rows for {state_by}={twice!r}; return one row for each group")
    # In the order of the groups, so that the same state has the same bytes.
    return rows, table_of(as_state, state).sort_by(state_by)


def tables_by_time(where: str, rows: pd.DataFrame, column: str, partitions: Sequence[Partition]) -> list[pa.Table]:
    """Return the rows of each partition as a table, as :func:`table_of` makes it of what :func:`split_by_time` returns.

    The rows become one table, which takes much less time, unless a column has objects: its type follows from values.

    Args:
        where: The step, its function and the partitions, for messages.
        rows: What :func:`frame_of` returned.
        column: The times by which the rows are split.
        partitions: Neighbours, in order.

    Raises:
        DeclarationError: there is no such column of times with a zone.
        SluiceError: a row belongs to none of the partitions, or Parquet can't hold a column.
    """
    if object in rows.dtypes.tolist():
        return [table_of(where, part) for part in split_by_time(where, rows, column, partitions)]
    order, ends = _by_time(where, rows, column, partitions)
    table = table_of(where, rows.iloc[order])
    return [table.slice(first, end - first) for first, end in ends]


def split_by_time(where: str, rows: pd.DataFrame, column: str, partitions: Sequence[Partition]) -> list[pd.DataFrame]:
    """Return the rows of each partition, in the order in which the function returned them.

    Args:
        where: The step, its function and the partitions, for messages.
        rows: What :func:`frame_of` returned.
        column: The times by which the rows are split.
        partitions: Neighbours, in order.

    Raises:
        DeclarationError: there is no such column of times with a zone.
        SluiceError: a row belongs to none of the partitions.
    """
    order, ends = _by_time(where, rows, column, partitions)
    rows = rows.iloc[order]  # once: to take the rows of each partition by itself costs much more
    return [rows.iloc[first:end].reset_index(drop=True) for first, end in ends]


def _by_time(
    where: str, rows: pd.DataFrame, column: str, partitions: Sequence[Partition]
) -> tuple[npt.NDArray[np.int64], Iterator[tuple[int, int]]]:
    """Return the places of rows, partition by partition, and where each partition begins and ends among them."""
    times = rows.get(column)
    if times is None or not (isinstance(times.dtype, pd.DatetimeTZDtype) or _is_arrow_time(times.dtype)):
        raise DeclarationError(
            f"{where} returned no column {column!r} of times with a zone, by which its rows are split"
        )
    ends = pd.DatetimeIndex([partitions[0].start, *(each.end for each in partitions)]).as_unit("us")
    moments = pd.DatetimeIndex(times).tz_convert("UTC").as_unit("us")
    places = ends.searchsorted(moments, side="right") - 1
    outside = np.asarray(moments.isna()) | (places < 0) | (places >= len(partitions))
    if outside.any():
        raise SluiceError(
            f"{where} returned {np.count_nonzero(outside):,} rows outside of the partitions that it makes, such as "
            f"one of {column}={times[outside].iloc[0]}; let it return only rows of what it reads without a look-back"
        )
    order = np.argsort(places, kind="stable")
    return order, pairwise(np.searchsorted(places[order], np.arange(len(partitions) + 1)).tolist())


def _is_arrow_time(kind: Any) -> bool:
    return isinstance(kind, pd.ArrowDtype) and pa.types.is_timestamp(kind.pyarrow_dtype) and bool(kind.pyarrow_dtype.tz)


def table_of(where: str, frame: pd.DataFrame) -> pa.Table:
    """Return the rows of a frame.

    Args:
        where: The step, its function and the partition, for messages.
        frame: What :func:`frame_of` returned.

    Raises:
        SluiceError: Parquet can't hold a column.
    """
    try:
        return _stored(frame)
    except (pa.ArrowException, OverflowError):
        for name in frame.columns:
            try:
                _stored(frame[[name]])
            except (pa.ArrowException, OverflowError) as error:
                raise SluiceError(
                    f"{where} returned a column {str(name)!r} that Parquet can't hold: {_why(frame[name], error)}; "
                    f"correct the step, then clear this task"
                ) from error
        raise


def _stored(frame: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)  # its threads cost more than they save
    _require_parquet(table.schema.remove_metadata())
    return table


@lru_cache
def _require_parquet(schema: pa.Schema) -> None:
    """Require that Parquet can hold the types: some are Arrow's alone."""
    parquet_bytes(schema.empty_table())


def _why(column: pd.Series, error: Exception) -> str:
    values = column.dropna()
    kinds = sorted({type(value).__name__ for value in values})
    if len(kinds) > 1:
        return f"its values are of several types ({', '.join(kinds)})"
    large = next((value for value in values if isinstance(value, int) and not -_BEYOND <= value < _BEYOND), None)
    if large is not None:
        return f"{str(large)[:40]} is beyond 64 bits; make it text"
    return " ".join(str(error).split())
