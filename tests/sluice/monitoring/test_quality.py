"""How far rows drift by chance."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest

from sluice.dataset.profile import CategoryProfile, NumberProfile, Profile
from sluice.monitoring.quality import chance_drift


def index(expected: list[float], counts: list[int]) -> float:
    shares = [max(count / sum(counts), 1e-4) for count in counts]
    return sum((a - e) * log(a / e) for a, e in zip(shares, expected, strict=True))


@pytest.mark.parametrize(("bins", "rows"), [(10, 60), (10, 2_000), (100, 500)])
def test_drift_by_chance_is_exceeded_by_one_of_a_thousand_draws_from_the_train_rows(bins: int, rows: int) -> None:
    shares = {str(number): 1 / bins for number in range(bins)}
    profile = Profile(features={"x": CategoryProfile(whole=True, shares=shares, other=0, missing=0)})

    found = chance_drift(profile, rows)["x"]

    random = np.random.default_rng(7)
    draws = []
    for _ in range(2_000):
        counts = Counter(random.integers(0, bins, rows).tolist())
        draws.append(index([1 / bins] * bins, [counts[number] for number in range(bins)]))
    assert np.quantile(draws, 0.99) < found < np.max(draws) * 1.2


def test_many_rows_drift_less_than_the_usual_bound_by_chance() -> None:
    profile = Profile(features={"x": NumberProfile(edges=(1, 2), shares=(0.5, 0.25, 0.25), missing=0)})

    assert chance_drift(profile, 20)["x"] > 0.25
    assert chance_drift(profile, 200)["x"] < 0.25
