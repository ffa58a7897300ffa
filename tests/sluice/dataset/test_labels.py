"""A label that the problem does not take is named with its partition and count, before a job is paid for (P14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.calendars import utc
from tests.sluice.toy import TOY

from sluice.dataset.labels import Labels
from sluice.declaration import Count, Gate, Multiclass, Regression, XGBoost
from sluice.errors import DeclarationError

DAY = utc("dt=2013-01-02")
CLASSES = {
    "problem": Multiclass(3),
    "gate": Gate("accuracy", at_least=0.5),
    "candidates": (XGBoost({"objective": "multi:softprob", "num_class": 3, "num_round": 1}),),
}
COUNTS = {
    "problem": Count(),
    "gate": Gate("poisson_deviance", at_most=9),
    "candidates": (XGBoost({"objective": "count:poisson", "num_round": 1}),),
}
NUMBERS = {
    "problem": Regression(),
    "gate": Gate("rmse", at_most=9),
    "candidates": (XGBoost({"objective": "reg:squarederror", "num_round": 1}),),
}


def labels(*values: float, **changes: Any) -> Labels:
    found = Labels(replace(TOY.require_training(), **changes))
    found.add(np.array(values, dtype=float), DAY)
    return found


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        (
            (-1, 1, -1, 1),
            {},
            "step 'running': label 'late' has 2 of 4 values in dt=2013-01-02 that Binary() does not take, such as -1: "
            "a binary label is 0 or 1; map it in the step, or declare another problem",
        ),
        (
            (0, 3, 1.5),
            CLASSES,
            "step 'running': label 'late' has 2 of 3 values in dt=2013-01-02 that Multiclass(3) does not take, such as "
            "1.5: the 3 classes are 0 to 2; number them so in the step",
        ),
        (
            (0, 3, -2),
            COUNTS,
            "step 'running': label 'late' has 1 of 3 values in dt=2013-01-02 that Count() does not take, such as -2: "
            "a count is never negative; correct the step, or declare Regression()",
        ),
    ],
)
def test_label_outside_of_the_problem_is_named(values: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        labels(*values, **changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("values", "changes", "train", "test"),
    [
        ((0, 1), {}, None, None),
        ((), {}, "have no label", "have no label"),
        ((1, 1), {}, "have a label 'late' that is 1 in every row, so there is nothing to learn", "have one label only"),
        ((0, 2), CLASSES, "have a label 'late' that has no row of class 1, one of the 3 classes", None),
        ((0, 1, 2), CLASSES, None, None),
        ((2, 2), CLASSES, "have a label 'late' that is 2 in every row", "have one label only"),
        ((2.5, 2.5), NUMBERS, "have a label 'late' that is 2.5 in every row", None),
        ((0, 7), COUNTS, None, None),
    ],
)
def test_rows_that_are_of_no_use_are_told(
    values: Any, changes: dict[str, Any], train: str | None, test: str | None
) -> None:
    found = labels(*values, **changes)

    for channel, reason in {"train": train, "validation": test, "test": test}.items():
        told = found.lacks(channel)
        assert told is None if reason is None else (told or "").startswith(reason)


def test_every_class_is_seen_however_the_partitions_divide_them() -> None:
    classes = {**CLASSES, "problem": Multiclass(1000)}
    classes["candidates"] = (XGBoost({"objective": "multi:softprob", "num_class": 1000, "num_round": 1}),)
    found = Labels(replace(TOY.require_training(), **classes))
    for start in range(0, 1000, 7):
        found.add(np.arange(max(0, start - 9), min(start + 7, 1000), dtype=float), DAY)

    assert found.lacks("train") is None
    assert len(found.different) == 1000
