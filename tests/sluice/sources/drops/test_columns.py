"""A declared type gets every value that it can hold exactly, and no other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.sources.drops.columns import arrow_type, with_schema
from sluice.sources.drops.formats.contract import UnreadableFile

MORNING = datetime(2021, 5, 4, 10, tzinfo=UTC)
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
# With any offset, these are moments that Python can tell.
_TELLABLE = datetime.min + timedelta(days=1), datetime.max - timedelta(days=1)  # noqa: DTZ901


def converted(values: Any, kind: str, physical: pa.DataType | None = None) -> list[Any]:
    table = with_schema(pa.table({"v": pa.array(values, physical)}), {"v": kind})
    assert table.schema == pa.schema([("v", arrow_type(kind))])
    found: list[Any] = table.column("v").to_pylist()
    return found


@pytest.mark.parametrize(
    ("values", "physical", "kind", "found"),
    [
        (["7", "-0", "+5", None, ""], None, "int64", [7, 0, 5, None, None]),
        (["1e2", "3.0"], None, "int64", [100, 3]),
        ([17.0, -(2.0**53)], None, "int64", [17, -(2**53)]),
        ([2**63], pa.uint64(), "uint64", [2**63]),
        ([2**63, 7], pa.uint64(), "decimal128(20, 0)", [Decimal(2**63), Decimal(7)]),
        (["0.5", "nan", "1e400", ""], None, "double", [0.5, "nan", float("inf"), None]),
        ([3, 2**53], pa.int64(), "double", [3.0, 2.0**53]),
        (["true", "FALSE", "1", "0", ""], None, "bool", [True, False, True, False, None]),
        ([1, 0, None], pa.int8(), "bool", [True, False, None]),
        ([12, -1], pa.int32(), "string", ["12", "-1"]),
        (["", "NA"], None, "string", ["", "NA"]),
        ([b"dry"], pa.binary(), "string", ["dry"]),
        (["", "dry"], None, "binary", [b"", b"dry"]),
        (["dry", "dry", None], pa.dictionary(pa.int8(), pa.string()), "string", ["dry", "dry", None]),
        ([None, None], pa.null(), "string", [None, None]),
        (["2021-05-04", ""], None, "date32", [date(2021, 5, 4), None]),
        ([date(2021, 5, 4)], pa.date64(), "date32", [date(2021, 5, 4)]),
        (["2021-05-04T12:00:00+02", "2021-05-04 10:00:00"], None, "timestamp[us, UTC]", [MORNING, MORNING]),
        (["2021-05-04 12:00:00"], None, "timestamp[us, tz=Europe/Berlin]", [MORNING]),
        ([MORNING.replace(tzinfo=None)], pa.timestamp("ms"), "timestamp[us, UTC]", [MORNING]),
        ([MORNING], pa.timestamp("s", "Asia/Tokyo"), "timestamp[us, UTC]", [MORNING]),
        ([1620122400000000999], pa.timestamp("ns", "UTC"), "timestamp[us, UTC]", [MORNING]),
        ([-1], pa.timestamp("ns", "UTC"), "timestamp[us, UTC]", [BEFORE_1970]),
        (["1969-12-31T23:59:59.999999999Z"], None, "timestamp[us, UTC]", [BEFORE_1970]),
        ([date(2021, 5, 4)], pa.date32(), "timestamp[us, UTC]", [datetime(2021, 5, 4, tzinfo=UTC)]),
        ([date(2021, 5, 4)], pa.date32(), "timestamp[us, Europe/Berlin]", [datetime(2021, 5, 3, 22, tzinfo=UTC)]),
        (["0.10", "1e1", ""], None, "decimal128(4, 2)", [Decimal("0.10"), Decimal("10.00"), None]),
        ([Decimal("1.10")], pa.decimal128(10, 2), "decimal128(12, 4)", [Decimal("1.1000")]),
        ([0.1], None, "decimal128(3, 1)", [Decimal("0.1")]),
        ([[1, None]], None, "list<string>", [["1", None]]),
        ([{"a": "1", "z": 2}, None], None, "struct<a: int64, b: list<double>>", [{"a": 1, "b": None}, None]),
    ],
)
def test_value_that_the_type_holds(values: Any, physical: pa.DataType | None, kind: str, found: list[Any]) -> None:
    shown = ["nan" if value != value else value for value in converted(values, kind, physical)]

    assert shown == found
    assert list(map(type, shown)) == list(map(type, found))


@pytest.mark.parametrize(
    ("value", "physical", "kind"),
    [
        ("4.5", None, "int64"),
        ("0x1F", None, "int64"),
        ("1_000", None, "int64"),
        (" 4", None, "int64"),
        ("18446744073709551616", None, "int64"),
        ("nan", None, "int64"),
        (300, pa.int64(), "int8"),
        (-1, pa.int64(), "uint64"),
        (1.5, None, "int64"),
        (float("nan"), None, "int64"),
        (True, None, "int64"),
        (2**53 + 1, pa.int64(), "double"),
        ("1,5", None, "double"),
        (2, pa.int64(), "bool"),
        ("yes", None, "bool"),
        (1.0, None, "string"),
        (True, None, "string"),
        (True, None, "double"),
        (True, None, "decimal128(4, 2)"),
        ("04.05.2021", None, "date32"),
        ("2021-W18-2", None, "date32"),
        (MORNING.replace(tzinfo=None), pa.timestamp("us"), "date32"),
        ("yesterday", None, "timestamp[us, UTC]"),
        (1620122400, pa.int64(), "timestamp[us, UTC]"),
        (10**15, pa.timestamp("s"), "timestamp[us, UTC]"),
        ("0.125", None, "decimal128(4, 2)"),
        ("123.00", None, "decimal128(4, 2)"),
        (0.1 + 0.2, None, "decimal128(3, 1)"),
        ("1", None, "list<string>"),
        ({"a": "x"}, None, "struct<a: int64>"),
    ],
)
def test_value_that_the_type_does_not_hold_is_refused(value: Any, physical: pa.DataType | None, kind: str) -> None:
    with pytest.raises(UnreadableFile, match=r"column 'v' is ") as refused:
        converted([value], kind, physical)

    assert f"{kind}, as declared" in str(refused.value)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_survive_as_text_and_back(values: list[int | None]) -> None:
    text = converted(values, "string", pa.int64())

    assert converted(text, "int64", pa.string()) == values


@given(st.lists(st.datetimes(*_TELLABLE), min_size=1), st.integers(-23, 23))
def test_times_are_the_same_moment_with_any_offset(values: list[datetime], hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    written = [value.replace(tzinfo=UTC).astimezone(zone).isoformat() for value in values]

    assert converted(written, "timestamp[us, UTC]") == [value.replace(tzinfo=UTC) for value in values]


def test_number_of_too_many_digits_is_named() -> None:
    with pytest.raises(UnreadableFile, match=r"its value '123\.00' is no decimal128\(4, 2\), as declared"):
        converted(["1.00", "123.00"], "decimal128(4, 2)")


def test_columns_are_the_declared_ones_in_their_order() -> None:
    table = pa.table({"extra": [1], "b": ["2"]})

    found = with_schema(table, {"a": "double", "b": "int64"})

    assert found.schema == pa.schema([("a", pa.float64()), ("b", pa.int64())])
    assert found.to_pylist() == [{"a": None, "b": 2}]


def test_file_with_none_of_the_columns_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="it has none of the declared columns; it has x, y"):
        with_schema(pa.table({"x": [1], "y": [2]}), {"a": "double"})
