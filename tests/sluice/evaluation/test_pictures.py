"""The figures of the pictures that a report's own tests don't read from the drawing."""

from __future__ import annotations

import numpy as np
import pytest

from sluice.declaration.problems import Problem
from sluice.evaluation.drawing import picture, shown
from sluice.evaluation.pictures import PICTURES, confusion_shares, mean_residuals


def test_every_problem_has_pictures() -> None:
    assert set(PICTURES) == set(Problem.__subclasses__())


def test_confusion_is_by_the_class_of_the_label() -> None:
    """Of class 0 one of two rows is right; class 1 has no row; of class 2 two of three are taken for class 1."""
    labels, predicted = np.array([0.0, 0, 2, 2, 2]), [0, 1, 1, 1, 2]

    shares = confusion_shares(labels, np.eye(3)[predicted])

    assert shares == pytest.approx(np.array([[1 / 2, 1 / 2, 0], [0, 0, 0], [0, 2 / 3, 1 / 3]]))


def test_mean_residuals_are_those_of_tenths_of_the_rows() -> None:
    """20 rows in another order than that of the predictions; each tenth has two."""
    answers = np.arange(20.0)[::-1]
    labels = answers + np.where(answers < 10, 1, -2)

    found = mean_residuals(labels, answers)

    assert found.tolist() == [[2 * n + 0.5, 1 if n < 5 else -2] for n in range(10)]
    assert mean_residuals(np.array([1.0, 2]), np.array([3.0, 1])).tolist() == [[1, 1], [3, -2]]


def test_name_of_the_data_is_short_and_printable() -> None:
    assert shown("UA") == "UA"
    assert shown("a\x00b\nc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert shown("x" * 33) == "x" * 31 + "…"


def test_same_drawing_gives_the_same_bytes() -> None:
    def drawn(height: float) -> str:
        return picture("t", "c", lambda figure: figure.subplots().plot((0, 1), (1, 0)), height=height).image  # type: ignore[arg-type, return-value]

    assert drawn(2) == drawn(2) != drawn(3)
