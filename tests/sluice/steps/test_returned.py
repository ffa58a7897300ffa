"""What a function returned becomes the rows of its partitions, in its order and with types that Parquet has."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from tests.calendars import utc_ranges

from sluice.errors import DeclarationError, SluiceError
from sluice.steps.content import content_digest
from sluice.steps.frames import parquet_bytes, read_object, to_frame
from sluice.steps.returned import rows_and_state, split_by_time, table_of, tables_by_time

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
ROWS = pd.DataFrame({"tail": ["b", "a"], "n": [1, 2]})


def test_rows_of_each_partition_keep_their_order() -> None:
    days = random.Random(7).choices((0, 1, 3), k=1000)  # none on the third
    rows = pd.DataFrame({"at": [FIRST + timedelta(days=day) for day in days], "n": range(1000), "text": map(str, days)})

    parts = split_by_time("step", rows.sample(frac=1, random_state=7), "at", utc_ranges("dt=2013-01-01..dt=2013-01-04"))

    order = rows.sample(frac=1, random_state=7)["n"].tolist()
    assert [part["n"].tolist() for part in parts] == [[n for n in order if days[n] == day] for day in range(4)]
    for part in parts:
        assert_frame_equal(part, rows.iloc[part["n"]].reset_index(drop=True))


COLUMNS: dict[str, Any] = {
    "flag": pd.array([True, None, False, True], "boolean"),
    "plain flag": np.array([True, False, True, False]),
    "whole": np.array([1, 2, 3, 4], "int32"),
    "gaps": pd.array([1, None, 3, None], "Int64"),
    "real": np.array([1.5, np.nan, -0.0, 4.0]),
    "real with gaps": pd.array([1.5, None, 3.0, None], "Float64"),
    "naive": np.array(["2013-01-01", "NaT", "2013-01-03", "NaT"], "datetime64[us]"),
    "zoned": pd.DatetimeIndex(["2013-01-01", "NaT", "2013-01-03", "2013-01-04"], tz="America/New_York"),
    "text": pd.array(["a", None, "Zürich", ""], "str"),
    "text of old": pd.array(["a", None, "c", "d"], "string"),
    "bytes": pd.array([b"a", None, b"", b"d"], pd.ArrowDtype(pa.binary())),
    "list": pd.array([[1], None, [], [2, 3]], pd.ArrowDtype(pa.list_(pa.int64()))),
    "object": pd.Series(["a", None, "c", None], dtype=object),
    "objects of two types": pd.Series(["a", 1, b"c", "d"], dtype=object),
    "category": pd.Categorical(["a", None, "b", "a"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_of_partitions_are_as_those_of_each_partition_by_itself(name: str) -> None:
    """GIVEN a column of any type, in which a day has a value, no value, or no row, THEN nothing tells of the others."""
    days = utc_ranges("dt=2013-01-01..dt=2013-01-05")
    at = [FIRST + timedelta(days=day) for day in (3, 1, 0, 3)]  # those of the fourth day are not neighbours
    rows = pd.DataFrame({"at": at, "column": COLUMNS[name]})

    tables = tables_by_time("step", rows, "at", days)

    alone = [table_of("step", part) for part in split_by_time("step", rows, "at", days)]
    assert [table.num_rows for table in tables] == [1, 1, 0, 2, 0]
    assert [table.schema.remove_metadata() for table in tables] == [each.schema.remove_metadata() for each in alone]
    assert [content_digest(table) for table in tables] == [content_digest(each) for each in alone]
    assert [parquet_bytes(table) for table in tables] == [parquet_bytes(each) for each in alone]


def test_type_that_parquet_lacks_is_refused_each_time() -> None:
    frame = pd.DataFrame({"good": [1], "span": pd.array([None], pd.ArrowDtype(pa.month_day_nano_interval()))})

    for _ in range(2):
        with pytest.raises(SluiceError, match="step returned a column 'span' that Parquet can't hold"):
            table_of("step", frame)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (ROWS, "where returned DataFrame, but its step has state_by; return a pair (rows, state)"),
        ((ROWS, ROWS, ROWS), "where returned tuple, but its step has state_by"),
        ((ROWS, None), "where, as state, returned NoneType; return a DataFrame"),
        ((None, ROWS), "where returned NoneType; return a DataFrame"),
        ((ROWS, ROWS[["n"]]), "where, as state, returned no column 'tail'; return it, with one row for each group"),
        ((ROWS, ROWS.assign(tail=["a", None])), "where, as state, returned a row without a 'tail'; leave it out"),
        ((ROWS, ROWS.assign(tail=["a", "a"])), "where, as state, returned two rows for tail='a'; return one row for"),
        ((ROWS, ROWS.set_index("tail")), "where, as state, returned tail as index, which is not kept"),
    ],
)
def test_state_that_has_not_one_row_for_each_group_is_refused(returned: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(message)):
        rows_and_state("where", returned, "tail")


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_state_is_in_the_order_of_its_groups(order: list[int]) -> None:
    _, state = rows_and_state("where", (ROWS, ROWS.iloc[order]), "tail")

    assert state.to_pylist() == [{"tail": "a", "n": 2}, {"tail": "b", "n": 1}]


@pytest.mark.parametrize("state", [pd.DataFrame(), ROWS.iloc[:0]])
def test_state_may_have_no_group(state: pd.DataFrame) -> None:
    _, kept = rows_and_state("where", (ROWS, state), "tail")

    read = to_frame([read_object("s3://state", parquet_bytes(kept), "again", 0)])
    assert (len(read), list(read.columns)) == (0, list(state.columns))
