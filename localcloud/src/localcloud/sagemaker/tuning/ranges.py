"""The ranges of a tuning job: each maps a position from 0 to 1 to a hyperparameter's value.

Source: developer guide, "Define hyperparameter ranges".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from localcloud.sagemaker.tuning.documents import CategoricalRange, NumberRange, ParameterRanges
from localcloud.service_model.errors import validation_error

# Auto: a range that spans this factor is searched on a logarithmic scale. The service's own rule isn't public.
_ORDERS = 100.0


class Range(Protocol):
    """What a hyperparameter may be."""

    @property
    def name(self) -> str:
        """The hyperparameter."""
        ...

    @property
    def count(self) -> float:
        """How many values there are; infinity for numbers that aren't whole."""
        ...

    def text(self, position: float) -> str:
        """Return the value at a position from 0 to 1, as a training job takes it."""
        ...

    def features(self, position: float) -> list[float]:
        """Return the value at a position as coordinates, between which distances mean something."""
        ...


@dataclass(frozen=True)
class Categories:
    """The values of a categorical range."""

    name: str
    values: tuple[str, ...]

    @property
    def count(self) -> float:
        """How many values there are."""
        return len(self.values)

    def text(self, position: float) -> str:
        """Return the value at a position."""
        return self.values[self._index(position)]

    def features(self, position: float) -> list[float]:
        """Return a coordinate for each value: no value is nearer to another one than the rest."""
        return [float(each == self._index(position)) for each in range(len(self.values))]

    def _index(self, position: float) -> int:
        return min(int(position * len(self.values)), len(self.values) - 1)


@dataclass(frozen=True)
class Numbers:
    """An integer or continuous range.

    Attributes:
        name: The hyperparameter.
        least: The smallest value.
        most: The largest value.
        scale: ``Linear``, ``Logarithmic`` or ``ReverseLogarithmic``.
        whole: Whether the values are whole.
    """

    name: str
    least: float
    most: float
    scale: str
    whole: bool

    @property
    def count(self) -> float:
        """How many values there are."""
        return self.most - self.least + 1 if self.whole else math.inf

    def text(self, position: float) -> str:
        """Return the value at a position."""
        # Half a step beyond each end, so that the first and the last whole number come as often as the others.
        margin = 0.5 if self.whole else 0.0
        value = _scaled(self.scale, position, self.least - margin, self.most + margin)
        value = min(max(value, self.least), self.most)
        return str(round(value)) if self.whole else repr(value)

    def features(self, position: float) -> list[float]:
        """Return the position itself, which is on the scale."""
        return [position]


def _scaled(scale: str, position: float, least: float, most: float) -> float:
    if scale == "Logarithmic":
        return math.exp(math.log(least) + position * (math.log(most) - math.log(least)))
    if scale == "ReverseLogarithmic":
        return 1 - math.exp(math.log(1 - least) + position * (math.log(1 - most) - math.log(1 - least)))
    return least + position * (most - least)


def ranges_of(parameters: ParameterRanges) -> list[Range]:
    """Return the ranges of a request, in its order: integer, continuous, categorical.

    Raises:
        ServiceError: One is empty or has no such scale, or a name comes twice.
    """
    ranges = list(_ranges(parameters))
    for number, each in enumerate(ranges):
        if each.name in [other.name for other in ranges[:number]]:
            raise validation_error(f"The hyperparameter {each.name} has more than one range.")
    return ranges


def _ranges(parameters: ParameterRanges) -> Iterator[Range]:
    for whole in parameters.get("IntegerParameterRanges", []):
        yield _numbers(whole, whole=True)
    for continuous in parameters.get("ContinuousParameterRanges", []):
        yield _numbers(continuous, whole=False)
    for categorical in parameters.get("CategoricalParameterRanges", []):
        yield _categories(categorical)


def _categories(given: CategoricalRange) -> Categories:
    if len(set(given["Values"])) < len(given["Values"]):
        raise validation_error(f"The values of the categorical hyperparameter {given['Name']} must differ.")
    return Categories(given["Name"], tuple(given["Values"]))


def _numbers(given: NumberRange, *, whole: bool) -> Numbers:
    name = given["Name"]
    least, most = _number(name, given["MinValue"], whole=whole), _number(name, given["MaxValue"], whole=whole)
    if least >= most:
        raise validation_error(f"The MinValue of the hyperparameter {name} must be less than its MaxValue.")
    return Numbers(name, least, most, _scale(given, least, most, whole=whole), whole)


def _number(name: str, text: str, *, whole: bool) -> float:
    try:
        value = float(int(text) if whole else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        kind = "an integer" if whole else "a number"
        raise validation_error(f"The range of the hyperparameter {name} has the end '{text}', which is not {kind}.")
    return value


def _scale(given: NumberRange, least: float, most: float, *, whole: bool) -> str:
    scale = given.get("ScalingType", "Auto")
    if scale == "Auto":
        return "Logarithmic" if least > 0 and most / least >= _ORDERS else "Linear"
    if scale == "Logarithmic" and least <= 0:
        raise validation_error(f"Logarithmic scaling of {given['Name']} needs values greater than 0.")
    if scale == "ReverseLogarithmic" and whole:
        raise validation_error(f"ReverseLogarithmic scaling of {given['Name']} needs a continuous range.")
    if scale == "ReverseLogarithmic" and not 0 <= least < most < 1:
        raise validation_error(f"ReverseLogarithmic scaling of {given['Name']} needs values from 0 to below 1.")
    return scale
