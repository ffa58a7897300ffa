"""The rows that judge: their groups are numbered by their names, and they are sliced by the values of columns."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from tests.draining import workspace_of
from tests.sluice.lake_contents import put_rows
from tests.sluice.toy import TOY, toy

from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Binary, Category, Gate, Ranking
from sluice.evaluation.rows import group_numbers, read_rows
from sluice.lake.store import Lake


def test_groups_are_numbered_in_the_order_of_the_rows() -> None:
    frame = pd.DataFrame({"query": ["b", "b", "a", "b"]})

    numbers = group_numbers(Ranking("query"), frame)

    assert numbers is not None
    assert numbers.tolist() == [0, 0, 1, 0]
    assert group_numbers(Binary(), frame) is None


def test_rows_without_a_value_are_a_slice_as_well(lake: Lake) -> None:
    """GIVEN gaps in a text, a whole number and a number, as features and beside them."""
    training = replace(
        TOY.require_training(),
        features=("value", Category("origin"), Category("gate")),
        gate=Gate("auc", at_least=0.5, rows=1, slices=("value", "origin", "gate", "other", "number")),
    )
    rows = pd.DataFrame(
        {
            "late": [0, 1, 1],
            "value": [0.5, None, 0.5],
            "origin": ["A", None, "A"],
            "gate": pd.array([7, None, 7], dtype="Int64"),
            "other": ["x", None, "x"],
            "number": pd.array([3, None, 3], dtype="Int64"),
        }
    )
    for day in (1, 2, 3):
        put_rows(lake, "running", f"2013-01-{day:02d}", rows)
    own = workspace_of(lake, toy(training=training))

    found = read_rows(own, make_snapshot(own).fingerprint, "test")

    assert [(column, value, int(of.sum())) for column, value, of in found.slices(1)] == [
        ("value", "(missing)", 1),
        ("value", "0.5", 2),
        ("origin", "(missing)", 1),
        ("origin", "A", 2),
        ("gate", "(missing)", 1),
        ("gate", "7", 2),
        ("other", "(missing)", 1),
        ("other", "x", 2),
        ("number", "(missing)", 1),
        ("number", "3", 2),
    ]
    assert [value for column, value, _ in found.slices(2)] == ["0.5", "A", "7", "x", "3"]
