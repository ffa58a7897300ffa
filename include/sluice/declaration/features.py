"""Features: what the model gets of a row, as a user declares it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from typing_extensions import override

from sluice.declaration.checks import check_number, check_text
from sluice.declaration.problems import Multiclass, Problem
from sluice.errors import DeclarationError

EncodingName = Literal["one_hot", "ordinal", "target_mean"]
_LARGEST = 3.4e38  # the model computes with 32-bit numbers
_MOST_COLUMNS = 1_000  # of one category


@dataclass(frozen=True)
class Feature:
    """The base of the features.

    Args:
        name: The column of the rows.

    Attributes:
        kind: What the column holds, in one word.
    """

    kind: ClassVar[str]

    name: str

    def __post_init__(self) -> None:
        check_text("feature", "name", self.name, "distance")

    def check_problem(self, problem: Problem) -> None:
        """Require that the feature can be encoded for a problem. A subclass may override it.

        Args:
            problem: What the training declares.

        Raises:
            DeclarationError: it can't.
        """


@dataclass(frozen=True)
class Number(Feature):
    """A number or a truth value. A plain name in ``features`` is one, too.

    Args:
        name: The column of the rows.
        fill: What stands for a missing value where the algorithm takes none; None: the mean of the train rows.

    Raises:
        DeclarationError: the fill is no finite number.
    """

    kind: ClassVar[str] = "number"

    fill: float | None = None

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fill is not None:
            check_number(f"feature {self.name}", "fill", self.fill, -_LARGEST, _LARGEST)


@dataclass(frozen=True)
class Category(Feature):
    """One of several values: text, whole numbers or truth values.

    Args:
        name: The column of the rows.
        encoding: How the model gets it. ``one_hot``: a column for each value. ``ordinal``: the number of the value.
            ``target_mean``: the mean label of the value's train rows.
        at_least: The share of the train rows that a value needs to be one of its own. Rarer values, and those that the
            train rows do not have, count as one value together, "other".

    Raises:
        DeclarationError: the encoding is unknown, or the share is out of its range.
    """

    kind: ClassVar[str] = "category"

    encoding: EncodingName = "one_hot"
    at_least: float = 0.01

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoding not in get_args(EncodingName):
            raise DeclarationError(
                f"feature {self.name}: encoding={self.encoding!r} is unknown; write one of "
                f"{', '.join(map(repr, get_args(EncodingName)))}"
            )
        least = 1 / _MOST_COLUMNS if self.encoding == "one_hot" else 0
        check_number(f"feature {self.name}", "at_least", self.at_least, least, 1)

    @override
    def check_problem(self, problem: Problem) -> None:
        if self.encoding == "target_mean" and isinstance(problem, Multiclass):
            raise DeclarationError(
                f"feature {self.name}: the classes of {problem} have no mean; write encoding='one_hot' or 'ordinal'"
            )
