"""The profile of the train rows, and the drift of other rows, against computations by hand."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pandas as pd
import pytest
from tests.sluice.toy import TOY

from sluice.dataset import profile as profiles
from sluice.dataset.profile import CategoryProfile, NumberProfile, Profile, Sample, drift
from sluice.dataset.raw_rows import RawRows
from sluice.declaration import Category
from sluice.lake.store import Lake


def test_numbers_are_divided_at_their_deciles() -> None:
    found = NumberProfile.of(pd.Series([*range(1, 101), *[None] * 25], dtype=float))

    assert found.edges == (10, 20, 30, 40, 50, 60, 70, 80, 90)
    assert found.shares == pytest.approx([0.08] * 10)
    assert found.missing == pytest.approx(0.2)


def test_deciles_that_are_equal_count_once() -> None:
    found = NumberProfile.of(pd.Series([0.0] * 75 + [1.0] * 25))

    assert (found.edges, found.shares, found.missing) == ((0, 1), (0.75, 0.25, 0), 0)


def test_column_without_numbers_has_one_empty_bin() -> None:
    found = NumberProfile.of(pd.Series([None, None], dtype=float))

    assert (found.edges, found.shares, found.missing) == ((), (0,), 1)


def test_categories_have_their_shares_and_the_rare_ones_one_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_MOST_VALUES", 2)

    found = CategoryProfile.of(pd.Series(["b", "a", "b", "c", None, "a", "a", "d"], dtype=object), whole=False)

    assert (found.shares, found.other, found.missing) == ({"a": 3 / 8, "b": 2 / 8}, 2 / 8, 1 / 8)


def test_drift_is_the_sum_over_the_bins() -> None:
    profile = Profile(
        features={
            "distance": NumberProfile(edges=(10, 20), shares=(0.5, 0.3, 0.1), missing=0.1),
            "carrier": CategoryProfile(whole=True, shares={"1": 0.6, "2": 0.4}, other=0, missing=0),
            "gone": NumberProfile(edges=(), shares=(1,), missing=0),
        }
    )
    frame = pd.DataFrame({"distance": [10, 10.5, 20, None, 21], "carrier": [1, 1, 2, 7, 1], "new": 0})

    found = drift(profile, frame)

    assert set(found) == {"distance", "carrier"}
    by_hand = (0.2 - 0.5) * log(0.2 / 0.5) + (0.4 - 0.3) * log(0.4 / 0.3) + 2 * (0.2 - 0.1) * log(0.2 / 0.1)
    assert found["distance"] == pytest.approx(by_hand)
    by_hand = (0.2 - 0.4) * log(0.2 / 0.4) + (0.2 - 1e-4) * log(0.2 / 1e-4)
    assert found["carrier"] == pytest.approx(by_hand)


def test_rows_that_are_alike_do_not_drift() -> None:
    rows = pd.DataFrame({"x": np.random.default_rng(1).normal(size=20_000)})
    profile = Profile(features={"x": NumberProfile.of(rows["x"][:10_000])})

    assert drift(profile, rows[:10_000])["x"] == pytest.approx(0, abs=1e-9)
    assert drift(profile, rows[10_000:])["x"] < 0.01
    assert drift(profile, rows + 1)["x"] > 0.25


@pytest.mark.parametrize("sizes", [(1_000,), (7, 0, 300, 693), (1,) * 20])
def test_sample_is_every_nth_row_however_the_partitions_divide_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    monkeypatch.setattr(profiles, "_MOST_ROWS", 10)
    training = replace(TOY.require_training(), features=("value", Category("carrier")))
    total, start = sum(sizes), 0
    sample = Sample(RawRows(lake, training), total)

    for size in sizes:
        places = range(start, start + size)
        carriers = pd.Series([f"c{place}" for place in places], dtype=object)
        sample.add(pd.DataFrame({"value": [float(place) for place in places], "carrier": carriers}))
        start += size

    number, category = sample.profile().features.values()
    step = total // 10
    assert isinstance(number, NumberProfile)
    assert isinstance(category, CategoryProfile)
    assert number.edges == tuple(step * n for n in range(9))
    assert set(category.shares) == {f"c{step * n}" for n in range(10)}
