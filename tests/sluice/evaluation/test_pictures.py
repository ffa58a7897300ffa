"""The figures of the pictures that a report's own tests don't read from the drawing."""

from __future__ import annotations

from sluice.declaration.problems import Problem
from sluice.evaluation.drawing import picture, shown
from sluice.evaluation.pictures import PICTURES


def test_every_problem_has_pictures() -> None:
    assert set(PICTURES) == set(Problem.__subclasses__())


def test_name_of_the_data_is_short_and_printable() -> None:
    assert shown("UA") == "UA"
    assert shown("a\x00b\nc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert shown("x" * 33) == "x" * 31 + "…"


def test_same_drawing_gives_the_same_bytes() -> None:
    def drawn(height: float) -> str:
        return picture("t", "c", lambda figure: figure.subplots().plot((0, 1), (1, 0)), height=height).image  # type: ignore[arg-type, return-value]

    assert drawn(2) == drawn(2) != drawn(3)
