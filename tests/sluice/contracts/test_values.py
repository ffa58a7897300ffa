"""A column that is made at once holds what its values give one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from sluice.contracts.columns import columns_of
from sluice.contracts.values import Unfit


class Scalars(BaseModel):
    text: str
    whole: int
    real: float
    truth: bool
    moment: datetime


COLUMNS = columns_of(Scalars)
ZONES = st.none() | st.timezones() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES)
VALUES = st.none() | st.text(max_size=3) | st.integers() | st.floats() | st.booleans() | MOMENTS
LIKE = {
    "text": st.text(max_size=3),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "truth": st.booleans(),
    "moment": MOMENTS,
}
FIRST = datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))


def one_by_one(name: str, values: list[Any]) -> pa.Array[Any] | None:
    try:
        return pa.array([COLUMNS[name].value(value) for value in values], COLUMNS[name].type)
    except (Unfit, UnicodeEncodeError):
        return None


@pytest.mark.parametrize("name", COLUMNS)
@given(data=st.data())
def test_columns_that_are_made_at_once_are_right_or_left_to_a_closer_look(name: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES) | st.lists(LIKE[name] | st.none()))

    found = COLUMNS[name].plain(values)

    assert found is None or found.equals(one_by_one(name, values))


@pytest.mark.parametrize("name", COLUMNS)
@given(data=st.data())
def test_values_of_the_columns_own_type_are_made_at_once(name: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(LIKE[name] | st.none()))
    expected = one_by_one(name, values)

    found = COLUMNS[name].plain(values)

    assert (found is None) == (expected is None)
    assert found is None or expected is None or found.equals(expected)


@example(values=[FIRST])
@example(values=[float("nan")])
@example(values=[2**63])
@example(values=[True])
@given(values=st.just([datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))]))
def test_values_out_of_range_are_looked_at(values: list[Any]) -> None:
    name = {datetime: "moment", float: "real"}.get(type(values[0]), "whole")

    assert COLUMNS[name].plain([*values, None]) is None
    with pytest.raises(Unfit):
        COLUMNS[name].value(values[0])


def test_times_without_a_zone_are_utc() -> None:
    naive = datetime(2013, 1, 1, 12)  # noqa: DTZ001 - as a default of a contract may be

    assert COLUMNS["moment"].plain([naive]).to_pylist() == [naive.replace(tzinfo=UTC)]  # type: ignore[union-attr]
