"""What a job would fail on or learn wrongly is refused in one line, which names column, partition and count (P14)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.sluice.lake_contents import put_rows
from tests.sluice.toy import TOY

from sluice.dataset.raw_rows import RawRows
from sluice.declaration import Category, Gate
from sluice.errors import DeclarationError
from sluice.lake.look import Look
from sluice.lake.store import Lake

GOOD = {"late": [0, 1, 0], "value": [1.5, 2, None], "total": [1, 2, 3], "carrier": ["UA", None, " AA "]}


def read(lake: Lake, *days: dict[str, Any], gate: Gate | None = None, **changes: Any) -> list[pd.DataFrame]:
    """Put a day of rows for each of these columns, and return what is read of them."""
    for place, columns in enumerate(days, 1):
        put_rows(lake, "running", f"2013-01-0{place}", pd.DataFrame({**GOOD, **columns}))
    changes.setdefault("features", ("value", Category("carrier")))
    training = replace(TOY.require_training(), gate=gate or TOY.require_training().gate, **changes)
    return [frame for _, frame in RawRows(lake, training).read(Look(lake).manifests("running"))]


def test_columns_have_one_type_whatever_the_partition_holds(lake: Lake) -> None:
    frames = read(
        lake,
        {},
        {"late": pd.array([True, None, False], dtype="boolean"), "carrier": [None] * 3, "value": [None] * 3},
        {"late": [Decimal(1), Decimal(0), None], "value": pd.array([1, None, 3], dtype="Int64")},
        {"carrier": pd.Categorical(["B6", None, "UA"]), "value": pd.Categorical([1, 2, None])},
    )

    assert [frame["late"].tolist() for frame in frames] == [[0, 1, 0], [1, 0], [1, 0], [0, 1, 0]]
    assert {str(frame[name].dtype) for frame in frames for name in ("late", "value")} == {"float64"}
    assert [[None if pd.isna(each) else each for each in frame["value"]] for frame in frames] == [
        [1.5, 2, None],
        [None, None],
        [1, None],
        [1, 2, None],
    ]
    assert [frame["carrier"].tolist() for frame in frames] == [
        ["UA", None, "AA"],
        [None, None],
        ["UA", None],
        ["B6", None, "UA"],
    ]


def test_slices_are_text(lake: Lake) -> None:
    (frame,) = read(
        lake,
        {"day": pd.to_datetime(["2013-01-01", None, "2013-01-02"]).date, "odd": [True, False, True]},
        gate=Gate("auc", at_least=0.6, slices=("day", "odd", "carrier")),
    )

    assert frame["day"].tolist() == ["2013-01-01", None, "2013-01-02"]
    assert frame["odd"].tolist() == ["True", "False", "True"]
    assert list(frame.columns) == ["late", "value", "carrier", "day", "odd"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"value": ["a", None, "b"]},
            "step 'running': feature 'value' has 2 of 3 values in dt=2013-01-02 that are not a number, such as 'a'; "
            "make it a number in the step, or declare it as Category('value')",
        ),
        (
            {"late": ["yes", "no", "no"]},
            "step 'running': label 'late' has 3 of 3 values in dt=2013-01-02 that are not a number, such as 'yes'; "
            "make it a number in the step",
        ),
        (
            {"value": [np.inf, 1, -np.inf]},
            "step 'running': feature 'value' has 2 of 3 values in dt=2013-01-02 that are not a number of at most "
            "3.403e+38, such as inf; leave out such rows or values in the step",
        ),
        (
            {"late": [0.0, np.inf, 1.0]},
            "step 'running': label 'late' has 1 of 3 values in dt=2013-01-02 that are not a number of at most "
            "3.403e+38, such as inf; leave out such rows or values in the step",
        ),
        (
            {"value": pd.to_datetime(["2013-01-01"] * 3)},
            "step 'running': feature 'value' has 3 of 3 values in dt=2013-01-02 that are not a number, such as "
            "Timestamp('2013-01-01 00:00:00'); make it a number in the step, or declare it as Category('value')",
        ),
        (
            {"carrier": [1.5, 2.0, 3.0]},
            "step 'running': feature 'carrier' has 1 of 3 values in dt=2013-01-02 that are not text, a whole number of "
            "at most 64 bits or a truth value, such as 1.5; write it so in the step",
        ),
        (
            {"carrier": [1, 2, 3]},
            "step 'running' writes 'carrier' as numbers in dt=2013-01-02, and as text in dt=2013-01-01; make it one of "
            "the two in the step",
        ),
    ],
)
def test_value_that_can_not_be_taken_is_named(lake: Lake, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        read(lake, {}, columns)

    assert str(refused.value) == message


def test_text_without_a_label_is_not_looked_at(lake: Lake) -> None:
    (frame,) = read(lake, {"late": [None, None, 1], "carrier": [1.5, 2.5, 3.0]})

    assert frame["carrier"].tolist() == ["3"]


@pytest.mark.parametrize("missing", ["late", "value", "carrier", "airport"])
def test_missing_column_is_named(lake: Lake, missing: str) -> None:
    put_rows(lake, "running", "2013-01-01", pd.DataFrame({**GOOD, "airport": "x"}).drop(columns=missing))
    training = replace(
        TOY.require_training(),
        features=("value", Category("carrier")),
        gate=Gate("auc", at_least=0.6, slices=("airport",)),
    )

    with pytest.raises(DeclarationError) as refused:
        list(RawRows(lake, training).read(Look(lake).manifests("running")))
    assert str(refused.value) == (
        f"step 'running' writes no column {missing} in dt=2013-01-01, which training declares; write it in the step, "
        f"or correct the declaration"
    )
