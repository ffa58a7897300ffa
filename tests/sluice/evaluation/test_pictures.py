"""The figures of the pictures that a report's own tests don't read from the drawing."""

from __future__ import annotations

import numpy as np

from sluice.declaration.problems import Problem
from sluice.evaluation.drawing import picture, shown
from sluice.evaluation.pictures import PICTURES, mean_relevances


def test_every_problem_has_pictures() -> None:
    assert set(PICTURES) == set(Problem.__subclasses__())


def test_relevance_of_a_place_is_the_mean_over_the_groups_that_have_it() -> None:
    """Group 0 is ordered 2, 0, 1 by its scores; group 1 has two rows, ordered 4, 3."""
    groups = np.array([1, 0, 0, 1, 0])
    labels, scores = np.array([3.0, 1, 2, 4, 0]), np.array([0.1, 0.2, 0.9, 0.8, 0.5])

    assert mean_relevances(labels, scores, groups).tolist() == [3, 1.5, 1]
    assert mean_relevances(labels, labels, groups).tolist() == [3, 2, 0]
    assert len(mean_relevances(np.zeros(30), np.zeros(30), np.zeros(30, dtype=np.intp))) == 10


def test_name_of_the_data_is_short_and_printable() -> None:
    assert shown("UA") == "UA"
    assert shown("a\x00b\nc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert shown("x" * 33) == "x" * 31 + "…"


def test_same_drawing_gives_the_same_bytes() -> None:
    def drawn(height: float) -> str:
        return picture("t", "c", lambda figure: figure.subplots().plot((0, 1), (1, 0)), height=height).image  # type: ignore[arg-type, return-value]

    assert drawn(2) == drawn(2) != drawn(3)
