"""The digest of a table's content changes with its values and types, and with nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.steps.content import content_digest

AT = datetime(2013, 1, 1, 12, tzinfo=UTC)
COLUMNS: dict[str, pa.Array[Any]] = {
    "text": pa.array(["a", None, "", "ü" * 9]),
    "bytes": pa.array([b"\0", None, b"", b"xy"]),
    "int": pa.array([1, None, -3, 2**62]),
    "small": pa.array([1, None, -3, 100], pa.int8()),
    "real": pa.array([0.5, None, float("nan"), -0.0]),
    "truth": pa.array([True, None, False, False]),
    "moment": pa.array([AT, None, AT + timedelta(1), AT - timedelta(1)], pa.timestamp("us", "UTC")),
    "day": pa.array([date(2013, 1, 1), None, date(1, 1, 1), date(9999, 1, 1)]),
    "time": pa.array([time(1), None, time(2), time(3)], pa.time64("us")),
    "span": pa.array([timedelta(1), None, timedelta(2), timedelta(3)]),
    "decimal": pa.array([Decimal("1.10"), None, Decimal("-2.00"), Decimal("3.33")], pa.decimal128(9, 2)),
    "fixed": pa.array([b"ab", None, b"cd", b"ef"], pa.binary(2)),
    "nothing": pa.nulls(4),
    "list": pa.array([[1, None], None, [], [3, 4, 5]]),
    "lists": pa.array([[["a"], []], None, [None], [["b", None]]]),
    "pair": pa.array([[1, 2], None, [3, 4], [5, None]], pa.list_(pa.int64(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 3, "b": None}]),
    "map": pa.array([[("a", 1)], None, [], [("b", None), ("c", 3)]], pa.map_(pa.string(), pa.int64())),
}


def of(array: Any) -> str:
    return content_digest(pa.table({"column": array}))


@pytest.mark.parametrize("name", COLUMNS)
def test_digest_is_of_the_values_alone(name: str) -> None:
    array = COLUMNS[name]
    longer = pa.concat_arrays([array.take([3, 2, 1, 0]), array, array])
    parts = [longer.slice(4, 1), longer.slice(9, 0), longer.slice(5, 2), longer.slice(11, 1)]
    buffer = io.BytesIO()
    pq.write_table(pa.table({"column": array}).replace_schema_metadata({"by": "another version"}), buffer)

    same = [longer.slice(4, 4), longer.slice(8, 4), pa.chunked_array(parts, array.type)]

    assert {of(each) for each in same} == {of(array)}
    assert content_digest(pq.read_table(buffer)) == of(array)


@pytest.mark.parametrize("name", COLUMNS)
def test_digest_changes_with_each_value_its_place_and_the_name(name: str) -> None:
    array = COLUMNS[name]
    others = [array.take(places) for places in ([0, 1, 2], [0, 1, 2, 3, 3], [3, 1, 2, 0], [0, 0, 2, 3], [0, 1, 1, 3])]
    digests = [*map(of, [array, *others]), content_digest(pa.table({"other": array}))]

    # Of a column that is null throughout only the length counts.
    assert len(set(digests)) == (len(digests) if name != "nothing" else 4)


def test_digests_of_all_columns_differ() -> None:
    digests = {of(array.take([1, 1])) for array in COLUMNS.values()} | {
        of(array.slice(0, 0)) for array in COLUMNS.values()
    }

    assert len(digests) == 2 * len(COLUMNS)


@pytest.mark.parametrize(
    "other",
    [
        lambda text: text.cast(pa.large_string()),
        lambda text: pa.array(text.to_pylist(), pa.string_view()),
        lambda text: pa.Table.from_pandas(pd.DataFrame({"text": text.to_pandas()}))["text"],
    ],
)
def test_how_text_is_stored_does_not_count(other: Callable[[Any], Any]) -> None:
    assert of(other(COLUMNS["text"])) == of(COLUMNS["text"])


def test_categories_are_not_text_to_a_step() -> None:
    """They are another type in the frame that a later step gets."""
    text = COLUMNS["text"]
    categories: Any = text.dictionary_encode()
    ordered = pa.DictionaryArray.from_arrays(categories.indices, categories.dictionary, ordered=True)
    other_order = pa.DictionaryArray.from_arrays(pa.array([2, None, 0, 1]), pa.array(["", "ü" * 9, "a"]))

    assert len({of(text), of(categories), of(ordered)}) == 3
    assert of(other_order) == of(categories)


def test_bytes_under_a_null_do_not_count() -> None:
    values = pa.array([1, 2, 3]).buffers()[1]
    valid = pa.array([True, False, True]).buffers()[1]

    assert of(pa.Array.from_buffers(pa.int64(), 3, [valid, values])) == of(pa.array([1, None, 3]))


TEXTS = st.lists(st.none() | st.text(max_size=3), max_size=5)


@given(one=TEXTS, other=TEXTS)
def test_texts_have_the_same_digest_only_if_they_are_equal(one: list[str | None], other: list[str | None]) -> None:
    arrays = pa.array(one, pa.string()), pa.array(other, pa.string())

    assert (of(arrays[0]) == of(arrays[1])) == (one == other)


def test_digest_is_the_one_that_was_written_down() -> None:
    """A lake keeps it for years: nothing may change it."""
    assert content_digest(pa.table(COLUMNS)) == "34c1c6c0d66cf313"
