"""The groups of rows are numbered by their names."""

from __future__ import annotations

import pandas as pd

from sluice.declaration import Binary, Ranking
from sluice.evaluation.rows import group_numbers


def test_groups_are_numbered_in_the_order_of_the_rows() -> None:
    frame = pd.DataFrame({"query": ["b", "b", "a", "b"]})

    numbers = group_numbers(Ranking("query"), frame)

    assert numbers is not None
    assert numbers.tolist() == [0, 0, 1, 0]
    assert group_numbers(Binary(), frame) is None
