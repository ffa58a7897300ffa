"""Problems: what a label means. It decides which labels are valid, what a model answers, and how it is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from typing_extensions import override

from sluice.declaration.checks import check_count

# SageMaker's Linear Learner takes at least 3 classes, and fewer are a binary problem.
_FEWEST_CLASSES, _MOST_CLASSES = 3, 1_000


@dataclass(frozen=True)
class Labels:
    """What is known of the labels of some rows.

    Attributes:
        rows: How many there are.
        lowest: The lowest one; NaN if one of them is NaN.
        highest: The highest one; NaN if one of them is NaN.
        values: The different ones; if there are more than :data:`MOST_VALUES`, some of them.
    """

    rows: int
    lowest: float
    highest: float
    values: frozenset[float]


MOST_VALUES = _MOST_CLASSES + 1


class Problem(ABC):
    """The base of the problems.

    Attributes:
        metrics: The names of the metrics that judge a model of this problem; the first is the default.
    """

    metrics: ClassVar[tuple[str, ...]]

    @property
    def scores(self) -> int:
        """How many numbers a model answers for each row."""
        return 1

    def __str__(self) -> str:
        return f"{type(self).__name__}()"

    def objections(self, labels: Labels) -> Iterator[str]:
        """Yield the reasons why these labels can't be learned, each with the next action.

        Args:
            labels: Those of the rows that train.
        """
        if not (isfinite(labels.lowest) and isfinite(labels.highest)):
            yield "has a value that is no finite number; leave such rows out in the step"
        elif len(labels.values) == 1:
            yield f"is {labels.lowest:g} in every row, so there is nothing to learn; train on more partitions"
        else:
            yield from self.domain_objections(labels)

    @abstractmethod
    def domain_objections(self, labels: Labels) -> Iterator[str]:
        """Yield the reasons why finite labels of several values are not those of this problem.

        Args:
            labels: Those of the rows that train.
        """


@dataclass(frozen=True)
class Binary(Problem):
    """Yes or no: the label is 1 or 0, and the model answers the probability of 1."""

    metrics: ClassVar[tuple[str, ...]] = (
        "auc",
        "average_precision",
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "f1",
    )

    @override
    def domain_objections(self, labels: Labels) -> Iterator[str]:
        if labels.values - {0, 1}:
            yield f"has {_shown(labels)}, but a binary label is 0 or 1; map it in the step, or declare another problem"


@dataclass(frozen=True)
class Multiclass(Problem):
    """One of several classes: the label is a number from 0, and the model answers a probability for each class.

    Args:
        classes: How many classes there are, 3 to 1,000. The labels are 0 to ``classes - 1``.

    Raises:
        DeclarationError: the number of classes is out of its range.
    """

    metrics: ClassVar[tuple[str, ...]] = ("multiclass_log_loss", "accuracy", "balanced_accuracy", "f1_macro")

    classes: int

    def __post_init__(self) -> None:
        check_count("problem", "classes", self.classes, _FEWEST_CLASSES, _MOST_CLASSES)

    @property
    @override
    def scores(self) -> int:
        """How many numbers a model answers for each row: one for each class."""
        return self.classes

    def __str__(self) -> str:
        return f"Multiclass({self.classes})"

    @override
    def domain_objections(self, labels: Labels) -> Iterator[str]:
        classes = frozenset(map(float, range(self.classes)))
        if labels.values - classes:
            yield f"has {_shown(labels)}, but the {self.classes} classes are 0 to {self.classes - 1}; number them so"
        elif missing := sorted(classes - labels.values):
            yield f"has no row of class {missing[0]:g}; declare fewer classes, or train on more partitions"


@dataclass(frozen=True)
class Regression(Problem):
    """Any number: the model answers the expected value."""

    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")

    @override
    def domain_objections(self, labels: Labels) -> Iterator[str]:
        yield from ()


@dataclass(frozen=True)
class Count(Problem):
    """A count, or another amount that is never negative: the model answers the expected value, which is above 0."""

    metrics: ClassVar[tuple[str, ...]] = ("poisson_deviance", "rmse", "mae", "r2")

    @override
    def domain_objections(self, labels: Labels) -> Iterator[str]:
        if labels.lowest < 0:
            yield f"has {labels.lowest:g}, but a count is never negative; correct the step, or declare Regression()"


def _shown(labels: Labels) -> str:
    """Return the values for a message: all of a few, else the range."""
    if len(labels.values) <= 5:
        return ", ".join(f"{value:g}" for value in sorted(labels.values))
    return f"values from {labels.lowest:g} to {labels.highest:g}"
