"""A search for hyperparameters by SageMaker's tuning jobs, as a user declares it.

Sources: the developer guide, "Define hyperparameter ranges" and "Understand the hyperparameter tuning strategies"; AWS
General Reference, "Amazon SageMaker endpoints and quotas".
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import ClassVar, Literal, get_args

from typing_extensions import override

from sluice.declaration.checks import check_count, check_text
from sluice.errors import DeclarationError

Scale = Literal["auto", "linear", "log", "reverse_log"]
Strategy = Literal["bayesian", "random", "grid"]

_SCALES: Mapping[Scale, str] = {
    "auto": "Auto",
    "linear": "Linear",
    "log": "Logarithmic",
    "reverse_log": "ReverseLogarithmic",
}

_MOST_JOBS, _MOST_PARALLEL = 750, 100
_MOST_SEARCHED = 30  # of all ranges; each category counts
_AROUND_A_JOB = timedelta(minutes=15)  # an instance starts, and a model is uploaded: no part of a job's runtime


class Search(ABC):
    """The base of the ranges: what a hyperparameter may be.

    Attributes:
        kind: What SageMaker calls such a range.
        whole: Whether every value is a whole number; None if the range has categories.
    """

    kind: ClassVar[str]
    whole: ClassVar[bool | None]

    @property
    @abstractmethod
    def ends(self) -> tuple[object, ...]:
        """Values that stand for all: an algorithm that takes them takes every value."""

    @property
    @abstractmethod
    def count(self) -> float:
        """How many values there are; infinity for numbers that are not whole."""

    @property
    @abstractmethod
    def members(self) -> Mapping[str, object]:
        """The members of SageMaker's range, but for its name."""


@dataclass(frozen=True)
class Continuous(Search):
    """Numbers from ``least`` to ``most``.

    Args:
        least: The smallest number.
        most: The largest number.
        scale: ``linear``; ``log`` for a range of several orders of magnitude; ``reverse_log`` where small differences
            near 1 matter; ``auto``: SageMaker chooses.

    Raises:
        DeclarationError: an end is no number, the ends are equal or swapped, or the scale does not fit them.
    """

    kind: ClassVar[str] = "Continuous"
    whole: ClassVar[bool | None] = False

    least: float
    most: float
    scale: Scale = "auto"

    def __post_init__(self) -> None:
        _check_ends(self, self.least, self.most, self.scale)
        if self.scale == "reverse_log" and not 0 <= self.least < self.most < 1:
            raise DeclarationError(f"tuning: {self} needs ends from 0 to below 1 for the scale 'reverse_log'")

    @property
    @override
    def ends(self) -> tuple[object, ...]:
        return float(self.least), float(self.most)

    @property
    @override
    def count(self) -> float:
        return math.inf

    @property
    @override
    def members(self) -> Mapping[str, object]:
        return {"MinValue": self.least, "MaxValue": self.most, "ScalingType": _SCALES[self.scale]}


@dataclass(frozen=True)
class Integer(Search):
    """Whole numbers from ``least`` to ``most``.

    Args:
        least: The smallest number.
        most: The largest number.
        scale: ``linear``; ``log`` for a range of several orders of magnitude; ``auto``: SageMaker chooses.

    Raises:
        DeclarationError: an end is no whole number, the ends are equal or swapped, or the scale does not fit them.
    """

    kind: ClassVar[str] = "Integer"
    whole: ClassVar[bool | None] = True

    least: int
    most: int
    scale: Scale = "auto"

    def __post_init__(self) -> None:
        _check_ends(self, self.least, self.most, self.scale)
        if type(self.least) is not int or type(self.most) is not int:
            raise DeclarationError(f"tuning: {self} needs whole numbers; write Continuous(…) for others")
        if self.scale == "reverse_log":
            raise DeclarationError(f"tuning: {self}: only Continuous(…) has the scale 'reverse_log'")

    @property
    @override
    def ends(self) -> tuple[object, ...]:
        return self.least, self.most

    @property
    @override
    def count(self) -> float:
        return self.most - self.least + 1

    @property
    @override
    def members(self) -> Mapping[str, object]:
        return {"MinValue": self.least, "MaxValue": self.most, "ScalingType": _SCALES[self.scale]}


@dataclass(frozen=True)
class Categorical(Search):
    """One of several values, which have no order.

    Args:
        values: At least two different ones, each text, a number or a truth value.

    Raises:
        DeclarationError: there are fewer, or one is something else.
    """

    kind: ClassVar[str] = "Categorical"
    whole: ClassVar[bool | None] = None

    values: tuple[str | float | bool, ...]

    def __post_init__(self) -> None:
        good = isinstance(self.values, tuple) and all(isinstance(each, str | int | float) for each in self.values)
        if not good or len(set(map(str, self.values))) < max(len(self.values), 2):
            raise DeclarationError(
                f"tuning: {self} needs at least two different values; write it as Categorical(('gbtree', 'dart'))"
            )

    @property
    @override
    def ends(self) -> tuple[object, ...]:
        return self.values

    @property
    @override
    def count(self) -> float:
        return len(self.values)

    @property
    @override
    def members(self) -> Mapping[str, object]:
        return {"Values": self.values}


@dataclass(frozen=True)
class Tuning:
    """Train a candidate several times, with different hyperparameters, and go on with the best model.

    SageMaker's tuning job chooses the hyperparameters. Each of its training jobs is paid.

    Args:
        ranges: What is searched, by the names of hyperparameters; they are not given as fixed ones too.
        jobs: How many training jobs there are, up to 750. A grid has one for each combination.
        parallel: How many run at once, up to 100; your account's quota may be lower. A Bayesian search learns more from
            few.
        strategy: ``bayesian`` learns from the training jobs that have ended; ``random`` does not; ``grid`` tries every
            combination of categories.
        objective: The metric of the validation rows that says which model is best, by SageMaker's name. None: the first
            that the algorithm has for the problem, such as ``validation:auc``.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range, or there are fewer combinations than jobs.
    """

    ranges: Mapping[str, Search]
    jobs: int = 10
    parallel: int = 2
    strategy: Strategy = "bayesian"
    objective: str | None = None

    def __post_init__(self) -> None:
        good = isinstance(self.ranges, Mapping) and all(isinstance(each, Search) for each in self.ranges.values())
        if not good or not self.ranges:
            raise DeclarationError(
                f"tuning: ranges={self.ranges!r} must map hyperparameters to ranges; write it as "
                f"{{'eta': Continuous(0.01, 0.3, 'log')}}"
            )
        if self.strategy not in get_args(Strategy):
            raise DeclarationError(
                f"tuning: strategy={self.strategy!r} is none that can be declared; write one of "
                f"{', '.join(get_args(Strategy))}"
            )
        check_count("tuning", "jobs", self.jobs, 1, _MOST_JOBS)
        check_count("tuning", "parallel", self.parallel, 1, min(self.jobs, _MOST_PARALLEL))
        if self.objective is not None:
            check_text("tuning", "objective", self.objective, "validation:auc")
        self._check_combinations()

    def _check_combinations(self) -> None:
        searched = sum(1 if each.whole is not None else int(each.count) for each in self.ranges.values())
        if searched > _MOST_SEARCHED:
            raise DeclarationError(
                f"tuning: ranges has {searched} hyperparameters, each category counted; SageMaker searches "
                f"{_MOST_SEARCHED} at most"
            )
        combinations = math.prod(each.count for each in self.ranges.values())
        if self.strategy == "grid":
            if any(each.whole is not None for each in self.ranges.values()):
                raise DeclarationError("tuning: the strategy 'grid' searches categories only; use Categorical(…)")
            if self.jobs != combinations:
                raise DeclarationError(
                    f"tuning: jobs={self.jobs!r} must be {combinations:.0f}, the number of combinations of the grid"
                )
        elif combinations < self.jobs:
            raise DeclarationError(
                f"tuning: jobs={self.jobs!r} is more than the {combinations:.0f} combinations that ranges has; "
                f"decrease it"
            )

    def longest(self, max_runtime: timedelta) -> timedelta:
        """Return how long a tuning job may take from its start to its end.

        Args:
            max_runtime: The longest time that one training job may run.
        """
        return math.ceil(self.jobs / self.parallel) * (max_runtime + _AROUND_A_JOB)


def _check_ends(searched: Search, least: object, most: object, scale: str) -> None:
    numbers = [each for each in (least, most) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) < 2 or not all(map(isfinite, numbers)) or numbers[0] >= numbers[1]:
        raise DeclarationError(f"tuning: {searched} needs two numbers, the smaller one first")
    if scale not in get_args(Scale):
        raise DeclarationError(
            f"tuning: {searched}: scale={scale!r} is none; write one of {', '.join(get_args(Scale))}"
        )
    if scale == "log" and numbers[0] <= 0:
        raise DeclarationError(f"tuning: {searched} needs ends above 0 for the scale 'log'")
