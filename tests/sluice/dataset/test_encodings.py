"""What a model gets of a row is the same whether the row is one of a frame, or comes alone by names."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.dataset.encodings import Encoding, NumberEncoding, OneHotEncoding, OrdinalEncoding, TargetMeanEncoding
from sluice.errors import DeclarationError, SluiceError

ENCODING = Encoding(
    columns=(
        NumberEncoding(feature="distance", fill=7.5),
        OneHotEncoding(feature="carrier", whole=False, values=("AA", "UA")),
        OrdinalEncoding(feature="hour", whole=True, values=("0", "5", "17")),
        TargetMeanEncoding(feature="origin", whole=False, values=("EWR", "JFK"), means=(0.25, 0.5), other=0.3),
        TargetMeanEncoding(feature="holiday", whole=True, values=("0", "1"), means=(0.1, 0.9), other=0.2),
    )
)
NAMES = ("distance", "carrier=AA", "carrier=UA", "carrier (other)", "hour", "origin", "holiday")


def listed(frame: pd.DataFrame) -> list[list[float | None]]:
    return [[None if math.isnan(each) else each for each in row] for row in frame.to_numpy().tolist()]


def test_columns_are_those_of_each_feature_in_order() -> None:
    frame = pd.DataFrame(
        {
            "holiday": pd.array([True, False, None], dtype="boolean"),
            "origin": ["JFK", "LGA", None],
            "hour": pd.array([17, 4, None], dtype="Int64"),
            "carrier": ["UA", "HA", None],
            "distance": [1400, 2.5, None],
            "ignored": [1, 2, 3],
        }
    )

    gaps, filled = ENCODING.encode(frame, filled=False), ENCODING.encode(frame, filled=True)

    assert ENCODING.names == tuple(gaps.columns) == tuple(filled.columns) == NAMES
    assert set(gaps.dtypes) == {np.dtype(np.float64)}
    assert listed(gaps) == [
        [1400, 0, 1, 0, 3, 0.5, 0.9],
        [2.5, 0, 0, 1, 0, 0.3, 0.1],
        [None, 0, 0, 0, None, None, None],
    ]
    assert listed(filled) == [*listed(gaps)[:2], [7.5, 0, 0, 0, 0, 0.3, 0.2]]


def test_encoding_is_the_same_after_it_was_stored() -> None:
    stored = Encoding.model_validate_json(ENCODING.model_dump_json())

    assert stored == ENCODING
    assert [type(each) for each in stored.columns] == [type(each) for each in ENCODING.columns]


def test_missing_column_of_a_frame_is_named() -> None:
    with pytest.raises(DeclarationError, match="the rows have no column hour, origin, which the model takes; declare"):
        ENCODING.encode(pd.DataFrame({"distance": [1.0], "carrier": ["UA"], "holiday": [1]}), filled=True)


TEXTS = st.none() | st.sampled_from(["AA", "UA", "EWR", "JFK", "", " UA", "1", "5.0", "true"]) | st.text(max_size=3)
WHOLES = st.none() | st.integers(-3, 20) | st.integers(-(2**62), 2**62)


def column(values: st.SearchStrategy[Any], rows: int, dtypes: list[str]) -> st.SearchStrategy[pd.Series[Any]]:
    """Columns as the steps' files give them, each of one type."""
    lists = st.lists(values, min_size=rows, max_size=rows)
    return st.builds(lambda some, dtype: pd.Series(some, dtype=dtype), lists, st.sampled_from(dtypes))


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 6))
    floats = st.none() | st.floats(allow_infinity=False, width=32)
    flags = st.none() | st.booleans()
    whole = st.one_of(
        column(WHOLES, rows, ["Int64", "object"]),
        column(st.none() | st.integers(-3, 20), rows, ["float64"]),
        column(flags, rows, ["boolean", "object"]),
    )
    text = column(TEXTS, rows, ["object", "str", "category"])
    anything = st.one_of(column(floats, rows, ["float64", "float32"]), whole)
    return pd.DataFrame(
        {
            "distance": draw(anything),
            "carrier": draw(text | whole),
            "hour": draw(whole | text),
            "origin": draw(text),
            "holiday": draw(whole),
        }
    )


def raw_row(frame: pd.DataFrame, place: int) -> dict[str, object]:
    """A row as a caller sends it: JSON of Python's values, a missing one null."""
    values = {name: None if pd.isna(frame[name].iloc[place]) else frame[name].iloc[place] for name in frame}
    return json.loads(json.dumps(values, default=lambda value: value.item()))


@pytest.mark.slow
@settings(max_examples=300)
@given(frames(), st.booleans())
def test_single_rows_are_encoded_as_those_of_a_frame(frame: pd.DataFrame, filled: bool) -> None:
    expected = ENCODING.encode(frame, filled=filled)

    rows = [raw_row(frame, place) for place in range(len(frame))]
    alone = pd.concat([ENCODING.encode_rows([row], filled=filled) for row in rows], ignore_index=True)

    pd.testing.assert_frame_equal(alone, expected, check_exact=True)
    pd.testing.assert_frame_equal(ENCODING.encode_rows(rows, filled=filled), expected, check_exact=True)
    assert not filled or not expected.isna().any(axis=None)


def test_value_that_is_left_out_is_missing() -> None:
    nulls = dict.fromkeys(("distance", "hour", "origin", "holiday"))

    pd.testing.assert_frame_equal(
        ENCODING.encode_rows([{"carrier": "UA"}], filled=False),
        ENCODING.encode_rows([{"carrier": "UA", **nulls}], filled=False),
    )


def test_value_of_another_kind_in_a_frame_is_named() -> None:
    frame = pd.DataFrame({"distance": ["far", None, "near"], "carrier": "UA", "hour": 5, "origin": "JFK", "holiday": 0})

    with pytest.raises(SluiceError, match=r"^column 'distance': 2 of the values are not a number, such as 'far'; corr"):
        ENCODING.encode(frame, filled=True)
