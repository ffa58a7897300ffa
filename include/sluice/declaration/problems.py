"""Problems: what a label means. It decides which labels are valid, what a model answers, and how it is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from sluice.declaration.checks import check_count, check_text

# SageMaker's Linear Learner takes at least 3 classes, and fewer are a binary problem.
_FEWEST_CLASSES, _MOST_CLASSES = 3, 1_000
_HIGHEST_RELEVANCE = 31  # whose gain, 2 ** 31 - 1, is the largest that XGBoost computes with


# More different labels need not be known to tell whether every class is there.
MOST_LABELS = _MOST_CLASSES + 1


class Problem(ABC):
    """The base of the problems.

    Attributes:
        metrics: The names of the metrics that judge a model of this problem; the first is the default.
        classifies: Whether the label is a class, so that a model can only be judged by rows of several labels.
    """

    metrics: ClassVar[tuple[str, ...]]
    classifies: ClassVar[bool]

    @property
    def scores(self) -> int:
        """How many numbers a model answers for each row."""
        return 1

    @property
    def group_column(self) -> str | None:
        """The column that names the group of each row; None if the problem has no groups."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in which the lake has what a model answers."""
        return ("score",)

    def __str__(self) -> str:
        return f"{type(self).__name__}()"

    @abstractmethod
    def refusal(self, label: float) -> str | None:
        """Return why a label is none of this problem, with the next action; None if it is one.

        Args:
            label: A finite number.
        """

    def objections(self, labels: Collection[float]) -> Iterator[str]:
        """Yield the reasons why rows are too few to learn from; each completes "the label …".

        Args:
            labels: The different labels of the rows that train, each of this problem. If there are more than
                :data:`MOST_LABELS`, some of them.
        """
        if len(labels) == 1:
            yield f"is {next(iter(labels)):g} in every row, so there is nothing to learn"


@dataclass(frozen=True)
class Binary(Problem):
    """Yes or no: the label is 1 or 0, and the model answers the probability of 1."""

    classifies: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (
        "auc",
        "average_precision",
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "f1",
    )

    @override
    def refusal(self, label: float) -> str | None:
        if label in (0, 1):
            return None
        return "a binary label is 0 or 1; map it in the step, or declare another problem"


@dataclass(frozen=True)
class Multiclass(Problem):
    """One of several classes: the label is a number from 0, and the model answers a probability for each class.

    Args:
        classes: How many classes there are, 3 to 1,000. The labels are 0 to ``classes - 1``.

    Raises:
        DeclarationError: the number of classes is out of its range.
    """

    classifies: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("multiclass_log_loss", "accuracy", "balanced_accuracy", "f1_macro")

    classes: int

    def __post_init__(self) -> None:
        check_count("problem", "classes", self.classes, _FEWEST_CLASSES, _MOST_CLASSES)

    @property
    @override
    def scores(self) -> int:
        """How many numbers a model answers for each row: one for each class."""
        return self.classes

    @property
    @override
    def columns(self) -> tuple[str, ...]:
        """The columns in which the lake has what a model answers: the most probable class, and all probabilities."""
        return ("class", *(f"score_{label}" for label in range(self.classes)))

    def __str__(self) -> str:
        return f"Multiclass({self.classes})"

    @override
    def refusal(self, label: float) -> str | None:
        if label in range(self.classes):
            return None
        return f"the {self.classes} classes are 0 to {self.classes - 1}; number them so in the step"

    @override
    def objections(self, labels: Collection[float]) -> Iterator[str]:
        yield from super().objections(labels)
        if missing := sorted(set(range(self.classes)) - set(labels)):
            yield f"has no row of class {missing[0]}, one of the {self.classes} classes"


@dataclass(frozen=True)
class Regression(Problem):
    """Any number: the model answers the expected value."""

    classifies: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")

    @override
    def refusal(self, label: float) -> str | None:
        return None


@dataclass(frozen=True)
class Count(Problem):
    """A count, or another amount that is never negative: the model answers the expected value, which is above 0."""

    classifies: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("poisson_deviance", "rmse", "mae", "r2")

    @override
    def refusal(self, label: float) -> str | None:
        return None if label >= 0 else "a count is never negative; correct the step, or declare Regression()"


@dataclass(frozen=True)
class Ranking(Problem):
    """The rows of each group in order: the label is the relevance of a row, and the model answers a score.

    A score says nothing by itself. The row of a group with the highest one comes first.

    Args:
        group: The column that names the group of a row, such as the query of a search: text or whole numbers. It is
            no feature.
        highest: The highest relevance, 1 to 31. The labels are whole numbers from 0 to it.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    classifies: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("ndcg",)

    group: str
    highest: int = _HIGHEST_RELEVANCE

    def __post_init__(self) -> None:
        check_text("problem", "group", self.group, "query_id")
        check_count("problem", "highest", self.highest, 1, _HIGHEST_RELEVANCE)

    @property
    @override
    def group_column(self) -> str | None:
        """The column that names the group of each row."""
        return self.group

    def __str__(self) -> str:
        return f"Ranking({self.group!r})"

    @override
    def refusal(self, label: float) -> str | None:
        if label in range(self.highest + 1):
            return None
        return f"a relevance is a whole number from 0 to {self.highest}; map it in the step, or declare another highest"
