"""Rows for the model are numbers, or one line that names the place and what was expected."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.serving.rows import BadRow, model_rows

JSON: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
CELLS = st.sampled_from(["value", "total", "1", "", " 2 ", "-0.5", "1e999", "nan", "x", '"', '"1"', "1_0", "٣", "\0"])
ROWS = st.one_of(
    st.binary(),
    st.lists(CELLS, max_size=3).map(lambda cells: ",".join(cells).encode()),
    st.dictionaries(st.sampled_from(["value", "total", "x"]), JSON).map(lambda value: json.dumps(value).encode()),
)


def outcome(lines: list[bytes]) -> list[str] | str:
    try:
        return list(model_rows(lines, ("value", "total")))
    except BadRow as error:
        return str(error)


@settings(max_examples=500, deadline=None)
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
        "0.1,1e-07",
        "-0.0,1.2345678901234568e+16",
        "1.0,",
        ",",
    ]
