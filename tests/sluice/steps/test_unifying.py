"""Tables of one dataset get the same columns where no value changes, or are refused with both types."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SluiceError
from sluice.steps.frames import to_frame
from sluice.steps.unifying import unified

AT = datetime(2021, 5, 4, tzinfo=UTC)
BIG = 2**53 + 1
UTC_US, UTC_NS, PARIS = (pa.timestamp(*each) for each in (("us", "UTC"), ("ns", "UTC"), ("us", "Europe/Paris")))


def both(one: pa.Array[Any], other: pa.Array[Any]) -> list[pa.Table]:
    return unified(
        [("dt=2021-05-04/a.parquet", pa.table({"x": one})), ("dt=2021-05-05/b.parquet", pa.table({"x": other}))]
    )


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (pa.array([1]), pa.array([0.5]), pa.float64()),
        (pa.array([1], pa.int32()), pa.array([BIG]), pa.int64()),
        (pa.array([1], pa.uint64()), pa.array([-1]), pa.int64()),
        (pa.nulls(1), pa.array(["a"]), pa.string()),
        (pa.array(["a"]).dictionary_encode(), pa.array(["a"]), pa.string()),
        (pa.array([AT], PARIS), pa.array([AT], UTC_US), UTC_US),
        (pa.array([AT], UTC_US), pa.array([AT], UTC_NS), UTC_NS),
        (pa.array([Decimal("1.25")]), pa.array([Decimal("12.5")]), pa.decimal128(4, 2)),
        (pa.array([{"a": 1}]), pa.array([{"a": 2, "b": "c"}]), pa.struct([("a", pa.int64()), ("b", pa.string())])),
        (pa.array([[1]]), pa.array([[0.5]]), pa.list_(pa.float64())),
    ],
)  # fmt: skip
def test_types_are_unified_where_no_value_changes(one: Any, other: Any, kind: pa.DataType) -> None:
    for pair in ((one, other), (other, one)):
        tables = both(*pair)

        assert [table.schema.field("x").type for table in tables] == [kind, kind]
        values = [table["x"].to_pylist()[0] for table in tables]
        assert [_without_gaps(value) for value in values] == [_without_gaps(array.to_pylist()[0]) for array in pair]


def _without_gaps(value: Any) -> Any:
    return {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([BIG]), pa.array([0.5])),
        (pa.array([[BIG]]), pa.array([[0.5]])),
        (pa.array([{"a": BIG}]), pa.array([{"a": 0.5}])),
        (pa.array([2**63], pa.uint64()), pa.array([-1])),
        (pa.array([Decimal("0.1234567890123456789")]), pa.array([0.5])),
        (pa.array([1]), pa.array(["a"])),
        (pa.array([True]), pa.array([1])),
        (pa.array([b"a"]), pa.array(["a"])),
        (pa.array([date(2021, 5, 4)]), pa.array([AT])),
        (pa.array([AT]), pa.array([datetime(2021, 5, 4)])),  # noqa: DTZ001
        (pa.array([datetime(9999, 1, 1, tzinfo=UTC)]), pa.array([AT], pa.timestamp("ns", "UTC"))),
    ],
)
def test_types_that_lose_a_value_are_refused_with_partitions_column_and_both_types(one: Any, other: Any) -> None:
    with pytest.raises(SluiceError) as error:
        both(one, other)

    message = str(error.value)
    assert all(
        word in message for word in ("column 'x'", "dt=2021-05-04", "dt=2021-05-05", str(one.type), str(other.type))
    )
    assert "\n" not in message


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.lists(st.floats(allow_nan=False), min_size=1))
def test_whole_numbers_stay_exact_beside_floats_or_are_refused(whole: list[int], real: list[float]) -> None:
    try:
        tables = both(pa.array(whole, pa.int64()), pa.array(real))
    except SluiceError:
        assert any(int(float(number)) != number for number in whole) or max(map(abs, whole)) > 2**53
    else:
        assert [[*map(int, tables[0]["x"].to_pylist())], tables[1]["x"].to_pylist()] == [whole, real]


def test_column_that_a_table_lacks_is_null_there() -> None:
    tables = unified([("a", pa.table({"x": [1]})), ("b", pa.table({"y": ["c"], "x": [2]}))])

    assert [table.to_pylist() for table in tables] == [[{"x": 1, "y": None}], [{"x": 2, "y": "c"}]]
    assert unified([]) == []


@pytest.mark.parametrize("others", [0, 1, 2])
def test_column_that_was_an_index_in_pandas_is_one_of_the_frame(others: int) -> None:
    """A drop that pandas has written says in its metadata which columns were the index."""
    frame = pd.DataFrame({"origin": ["JFK", "LGA"], "temp": [1.5, 2.5]})
    dropped = pa.Table.from_pandas(frame.set_index("origin"))
    assert dropped.schema.pandas_metadata["index_columns"] == ["origin"]

    tables = unified([(f"{number}.parquet", dropped) for number in range(1 + others)])

    assert set(to_frame(tables).columns) == {"origin", "temp"}
    assert all(table.schema.metadata is None for table in tables)
