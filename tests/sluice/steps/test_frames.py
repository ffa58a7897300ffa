"""What a step sees is typed the same whatever a partition holds, and the same rows are the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SluiceError, UnreadableObject
from sluice.steps.frames import parquet_bytes, read_object, to_frame
from sluice.steps.unifying import unified


def written(frame: pd.DataFrame) -> bytes:
    return parquet_bytes(pa.Table.from_pandas(frame, preserve_index=False))


def seen(*frames: pd.DataFrame) -> pd.DataFrame:
    """Return what a step sees of partitions that were written from these frames."""
    return to_frame(unified([("a.parquet", read_object("a.parquet", written(frame), "")) for frame in frames]))


ROWS = pd.DataFrame(
    {
        "name": ["a", None, "c"],
        "whole": pd.array([1, None, 3], dtype="Int64"),
        "real": [0.5, None, 1.5],
        "time": pd.to_datetime(["2013-01-01", None, "2013-01-03"], utc=True),
    }
)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.set_axis([7, 8, 9]),
        lambda rows: rows.iloc[::-1].iloc[::-1],
        lambda rows: pd.concat([rows.iloc[:1], rows.iloc[1:]]),
        lambda rows: pd.concat([rows, rows]).iloc[3:],
        lambda rows: rows.rename_axis(columns="columns"),
        lambda rows: rows.assign(whole=rows["whole"].astype("float64")).assign(whole=rows["whole"]),
    ],
)
def test_same_rows_are_the_same_bytes_however_pandas_made_them(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """P4: neither an index, nor chunks, nor what pandas leaves in the metadata shows."""
    changed = change(ROWS)
    changed.attrs["made by"] = "a test"

    assert written(changed) == written(ROWS)


def test_no_version_of_pandas_is_in_the_bytes() -> None:
    assert pq.read_schema(io.BytesIO(written(ROWS))).metadata is None
    assert b"pandas" not in written(ROWS)


@given(st.lists(st.integers(0, 40), max_size=4))
def test_bytes_do_not_depend_on_chunks(cuts: list[int]) -> None:
    whole = pa.table({"name": [f"n{n % 5}" for n in range(40)], "real": [n / 3 if n % 4 else None for n in range(40)]})
    ends = sorted({0, *cuts, 40})
    parts = [whole.slice(start, end - start) for start, end in pairwise(ends)]

    assert parquet_bytes(pa.concat_tables(parts)) == parquet_bytes(whole)


@pytest.mark.parametrize("kind", ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "boolean"])
def test_gap_in_one_partition_changes_no_type(kind: str) -> None:
    full, gap = (pd.DataFrame({"x": pd.array(values, dtype=kind)}) for values in ([1, 0], [1, None]))

    assert str(seen(full)["x"].dtype) == str(seen(gap)["x"].dtype) == str(seen(full, gap)["x"].dtype) == kind
    assert seen(full, gap)["x"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.array([1, 2], dtype="Int64"), "Int64"),
        ([1.5, 2.5], "float64"),
        (["a", "b"], "str"),
        (pd.to_datetime(["2013-01-01", "2013-01-02"], utc=True), "datetime64[us, UTC]"),
        ([True, False], "boolean"),
    ],
)
def test_column_that_is_all_null_in_one_partition_takes_the_type_of_the_others(values: Any, kind: str) -> None:
    typed, empty = pd.DataFrame({"x": values}), pd.DataFrame({"x": [None, None]})

    for order in ([typed, empty], [empty, typed]):
        both = seen(*order)
        assert str(both["x"].dtype) == kind
        assert both["x"].isna().sum() == 2
        assert len(both) == 4


def test_column_that_a_partition_lacks_is_missing_there() -> None:
    both = seen(pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [2], "y": [3]}))

    assert both["x"].tolist() == [1, 2]
    assert both["y"].isna().tolist() == [True, False]


def test_integers_and_floats_are_combined_as_floats() -> None:
    assert seen(pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [0.5]}))["x"].tolist() == [1.0, 0.5]


def test_no_partitions_make_a_frame_without_columns() -> None:
    assert to_frame([]).shape == (0, 0)


def test_empty_partition_keeps_its_columns() -> None:
    empty = seen(ROWS.iloc[:0])

    assert list(empty.columns) == list(ROWS.columns)
    assert len(empty) == 0


@pytest.mark.parametrize("body", [b"", b"PAR1", written(ROWS)[:-8], written(ROWS)[:100]])
def test_damaged_object_is_named(body: bytes) -> None:
    with pytest.raises(UnreadableObject) as refused:
        read_object("s3://bucket/toy/own/dt=2013-01-01/a.parquet", body, "run its step again")

    assert re.fullmatch(
        r"s3://bucket/toy/own/dt=2013-01-01/a\.parquet can't be read \(.*Parquet.*\): it is damaged, or something else "
        r"wrote it; restore its former version, or run its step again",
        str(refused.value),
    )


def test_object_with_two_columns_of_one_name_is_refused() -> None:
    twice = parquet_bytes(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]))

    with pytest.raises(SluiceError, match=r"a.parquet has 2 columns 'x'; let the step return one"):
        read_object("a.parquet", twice, "")


NESTED = {
    "whole": pa.array([2**53 + 1, None], pa.int64()),
    "money": pa.array([Decimal("0.1234567890123456789"), None], pa.decimal128(38, 19)),
    "day": pa.array([date(2021, 6, 30), None]),
    "at": pa.array([time(10), None], pa.time64("us")),
    "raw": pa.array([b"x", None], pa.binary()),
    "list": pa.array([[2**53 + 1, None], None], pa.list_(pa.int64())),
    "struct": pa.array([{"a": 2**53 + 1, "b": None}, None], pa.struct([("a", pa.int64()), ("b", pa.string())])),
    "map": pa.array([[("a", 2**53 + 1)], None], pa.map_(pa.string(), pa.int64())),
    "when": pa.array([datetime(9999, 12, 31, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize(
    "rows", [slice(0, 2), slice(0, 1), slice(1, 2), slice(0, 0)], ids=["both", "full", "null", "none"]
)
@pytest.mark.parametrize("name", NESTED)
def test_column_passes_through_a_step_with_its_type_and_values(name: str, rows: slice) -> None:
    """Whatever a partition holds: all null, nothing, or numbers that no double holds."""
    table = pa.table({name: NESTED[name][rows]})

    passed = pa.Table.from_pandas(to_frame([table]), preserve_index=False)

    assert passed.schema.field(name).type == table.schema.field(name).type
    assert passed.to_pylist() == table.to_pylist()
