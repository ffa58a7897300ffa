"""What is fitted on the train rows: means, categories with their share, and mean labels out of their own fold."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from tests.sluice.lake_contents import put_rows
from tests.sluice.toy import TOY

from sluice.dataset import fitting
from sluice.dataset.encodings import Encoding
from sluice.dataset.fitting import FOLDS, Fitting
from sluice.dataset.raw_rows import RawRows
from sluice.declaration import Category, Number
from sluice.declaration.features import Feature
from sluice.errors import DeclarationError
from sluice.lake.look import Look
from sluice.lake.store import Lake


def fitted(lake: Lake, feature: Feature, *days: list[Any]) -> Fitting:
    """Return what is fitted on days with these values; the labels are 1 where the value is ``a`` or above 1."""
    rows = RawRows(lake, replace(TOY.require_training(), features=(feature,)))
    for place, values in enumerate(days, 1):
        late = [int(value == "a" or (isinstance(value, int) and value > 1)) for value in values]
        put_rows(lake, "running", f"2013-01-{place:02d}", pd.DataFrame({"late": late, feature.name: values}))
    found = Fitting(rows)
    for place, (_, frame) in enumerate(rows.read(Look(lake).manifests("running"))):
        found.add(frame, place % FOLDS)
    return found


def only(encoding: Encoding) -> Any:
    (column,) = encoding.columns
    return column


def test_number_is_filled_with_the_mean_or_as_declared(lake: Lake) -> None:
    days = [0.1, 0.2, None], [None, 0.3, 1e15, -1e15]

    assert only(fitted(lake, Number("x"), *days).encoding()).fill == pytest.approx(0.12)
    assert only(fitted(lake, Number("x", fill=-3), *days).encoding()).fill == -3


def test_number_that_is_always_missing_is_filled_with_0_and_told(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    found = fitted(lake, Number("x"), [None, None])

    with caplog.at_level(logging.WARNING, "sluice"):
        encodings = [found.encoding(), found.encoding(without=1)]

    assert [only(each).fill for each in encodings] == [0, 0]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("sluice")] == [
        "feature x is missing in every train row: 0 stands for it"
    ]


@pytest.mark.parametrize(("at_least", "values"), [(0.001, ("a", "b", "c")), (0.2, ("a", "b")), (0.21, ("a",)), (1, ())])
def test_value_of_its_own_has_that_share_of_the_train_rows(
    lake: Lake, at_least: float, values: tuple[str, ...]
) -> None:
    """Ten rows, of which one has no value: it counts among the rows."""
    found = fitted(lake, Category("x", at_least=at_least), ["a", "b", "c", "a"], ["a", "a", "b", "a", "a", None])

    assert only(found.encoding()).values == values


def test_share_that_is_just_reached_is_enough(lake: Lake) -> None:
    """0.07 times 100 is more than 7 in floating-point numbers."""
    found = fitted(lake, Category("x", at_least=0.07), ["a"] * 93 + ["b"] * 7)

    assert only(found.encoding()).values == ("a", "b")


def test_whole_numbers_are_ordered_by_size_and_text_by_letters(lake: Lake) -> None:
    ordinal = Category("x", encoding="ordinal", at_least=0)

    assert only(fitted(lake, ordinal, [10, 9, -1]).encoding()).values == ("-1", "9", "10")
    assert only(fitted(lake, ordinal, ["10", "9", "-1"]).encoding()).values == ("-1", "10", "9")


def test_category_without_any_value_has_other_values_only(lake: Lake) -> None:
    found = only(fitted(lake, Category("x"), [None, None]).encoding())

    assert (found.values, found.names) == ((), ("x (other)",))


def test_mean_labels_leave_out_the_fold_that_gets_them(lake: Lake) -> None:
    """Seven days in five folds: the first has days 1 and 6. Means are drawn by 20 rows of the mean of all."""
    days = [["a", "b"], ["a", "b", "c"], ["b"], ["b", "b"], ["a"], ["a", "a", "a"], ["b", None]]
    found = fitted(lake, Category("x", encoding="target_mean", at_least=0.2), *days)

    whole, first = only(found.encoding()), only(found.encoding(without=0))

    mean, rest = 6 / 14, 2 / 9  # of all rows; of days 2, 3, 4, 5 and 7
    assert whole.values == first.values == ("a", "b")
    assert whole.means == pytest.approx([(6 + 20 * mean) / 26, 20 * mean / 26])
    assert whole.other == pytest.approx(20 * mean / 21)
    assert first.means == pytest.approx([(2 + 20 * rest) / 22, 20 * rest / 25])
    assert first.other == pytest.approx(20 * rest / 21)


def test_column_of_too_many_values_is_no_category(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_MOST_VALUES", 3)

    with pytest.raises(DeclarationError, match="feature x has more than 3 values in the train rows, so it is no categ"):
        fitted(lake, Category("x"), ["a", "b"], ["c", "d"])
