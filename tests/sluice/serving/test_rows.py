"""Raw rows become those of the model, or one line that names the place and what was expected."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.dataset.encodings import Encoding, NumberEncoding, OneHotEncoding, OrdinalEncoding
from sluice.serving.rows import BadRow, model_rows

PLAIN = Encoding(columns=(NumberEncoding(feature="value", fill=1), NumberEncoding(feature="total", fill=2)))
MIXED = Encoding(
    columns=(
        OneHotEncoding(feature="carrier", whole=False, values=("UA",)),
        NumberEncoding(feature="distance", fill=7.5),
        OrdinalEncoding(feature="hour", whole=True, values=("5", "17")),
    )
)

JSON: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
CELLS = st.sampled_from(["value", "total", "1", "", " 2 ", "-0.5", "1e999", "nan", "x", '"', '"1"', "1_0", "٣", "\0"])
ROWS = st.one_of(
    st.binary(),
    st.lists(CELLS, max_size=3).map(lambda cells: ",".join(cells).encode()),
    st.dictionaries(st.sampled_from(["value", "total", "x"]), JSON).map(lambda value: json.dumps(value).encode()),
)


def outcome(lines: list[bytes], encoding: Encoding = PLAIN, *, filled: bool = False) -> list[str] | str:
    try:
        return list(model_rows(lines, encoding, filled=filled))
    except BadRow as error:
        return str(error)


@settings(max_examples=500)
@given(st.lists(ROWS, max_size=4))
def test_any_rows_are_numbers_or_one_clear_line(lines: list[bytes]) -> None:
    found = outcome(lines)

    if isinstance(found, str):
        assert found.startswith("line ")
        assert len(found.splitlines()) == 1
    else:
        cells = [cell for row in found for cell in row.split(",")]
        assert len(cells) == 2 * len(found)
        assert all(abs(float(cell or 0)) <= 3.4028235e38 for cell in cells)


def test_numbers_arrive_as_they_were_written() -> None:
    assert outcome([b"0.1,1e-7", b"-0,12345678901234567", b'{"value": true, "total": null}', b"nan,"]) == [
        "0.1,1e-7",
        "-0,1.2345678901234568e+16",
        "1,",
        ",",
    ]
    assert outcome([b"0.1,", b"{}"], filled=True) == ["0.1,2", "1,2"]


def test_raw_values_are_encoded_as_in_the_snapshot() -> None:
    expected = ["1,0,1400,2", "0,1,,0", "0,0,7,", "0,0,,1"]

    assert outcome([b"UA,1400,17", b"HA,,4", b",7,", b",,5.0"], MIXED) == expected
    assert outcome([b"hour, carrier,distance", b"17,UA,1400", b"4, HA ,", b",,7", b"5,,"], MIXED) == expected
    objects = [
        {"carrier": "UA", "distance": 1400, "hour": 17},
        {"hour": "4", "carrier": "HA"},
        {"carrier": None, "distance": 7.0},
        {"hour": 5.0, "carrier": ""},
    ]
    assert outcome([json.dumps(each).encode() for each in objects], MIXED) == expected
    assert outcome([b"{}"], MIXED, filled=True) == ["0,0,7.5,0"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"UA,far,5", "line 1 column 2 (distance) is 'far'; expected a number, or nothing where it is missing"),
        (b'{"distance": "1"}', "line 1 feature distance is '1'; expected a number, or null where it is missing"),
        (
            b'{"carrier": [1]}',
            "line 1 feature carrier is [1]; expected text, a whole number of at most 64 bits or a truth value, or null "
            "where it is missing",
        ),
        (b'{"carier": "UA"}', "line 1 has features that the model does not know: 'carier'"),
        (b"UA,5", "line 1 has 2 columns, expected 3: carrier, distance, hour"),
    ],
)
def test_value_of_another_kind_is_named(line: bytes, message: str) -> None:
    assert outcome([line], MIXED) == message


VALUES = {
    "carrier": st.none() | st.sampled_from(["UA", "HA", 'a"b', "a,b"]),
    "distance": st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
    "hour": st.none() | st.integers(-3, 20),
}


@settings(max_examples=100)
@given(st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5), st.booleans())
def test_rows_in_every_form_are_those_of_the_training_channel(rows: list[dict[str, Any]], filled: bool) -> None:
    """Against the encoding of a frame, which is how the channels are written."""
    frame = pd.DataFrame(rows).astype({"hour": "Int64", "distance": "float64", "carrier": object})
    expected = MIXED.encode(frame, filled=filled).to_numpy().tolist()
    text = io.StringIO()
    writer = csv.DictWriter(text, ["distance", "hour", "carrier"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)

    for lines in (
        [json.dumps(row).encode() for row in rows],
        [line.encode() for line in text.getvalue().splitlines()],
    ):
        found = outcome(lines, MIXED, filled=filled)
        assert isinstance(found, list)
        assert [[float(cell or "nan") for cell in row.split(",")] for row in found] == [
            [pytest.approx(each, abs=0, rel=0, nan_ok=True) for each in row] for row in expected
        ]
        assert not filled or not any(math.isnan(float(cell or "nan")) for row in found for cell in row.split(","))


def test_many_rows_are_all_there_in_order() -> None:
    lines = (f"{number},0".encode() for number in range(2_500))

    assert list(model_rows(lines, PLAIN, filled=False)) == [f"{number},0" for number in range(2_500)]
