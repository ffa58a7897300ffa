"""Positions in ranges, and the values at them."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from localcloud.sagemaker.tuning.ranges import Range, ranges_of
from localcloud.service_model.errors import ServiceError


def continuous(least: str, most: str, scale: str = "Auto") -> Range:
    """Return a continuous range."""
    return ranges_of({"ContinuousParameterRanges": [_given(least, most, scale)]})[0]


def integer(least: str, most: str, scale: str = "Auto") -> Range:
    """Return a range of whole numbers."""
    return ranges_of({"IntegerParameterRanges": [_given(least, most, scale)]})[0]


def _given(least: str, most: str, scale: str) -> Any:
    return {"Name": "x", "MinValue": least, "MaxValue": most, "ScalingType": scale}


@pytest.mark.parametrize(
    ("scale", "middle"),
    [
        ("Linear", 0.455),
        ("Logarithmic", math.sqrt(0.01 * 0.9)),  # the geometric mean
        ("ReverseLogarithmic", 1 - math.sqrt(0.99 * 0.1)),  # that of the distances from 1
    ],
)
def test_the_middle_of_a_range_is_that_of_its_scale(scale: str, middle: float) -> None:
    numbers = continuous("0.01", "0.9", scale)
    assert float(numbers.text(0.5)) == pytest.approx(middle)
    assert float(numbers.text(0.0)) == pytest.approx(0.01)
    assert float(numbers.text(1.0)) == pytest.approx(0.9)


def test_auto_is_logarithmic_where_a_range_spans_orders_of_magnitude() -> None:
    assert float(continuous("0.001", "1").text(0.5)) == pytest.approx(math.sqrt(0.001))
    assert float(continuous("0.5", "1").text(0.5)) == pytest.approx(0.75)
    assert float(continuous("0", "1000").text(0.5)) == pytest.approx(500), "the logarithm of 0 is no number"


def test_each_whole_number_has_the_same_share() -> None:
    numbers = integer("3", "6", "Linear")
    counts = Counter(numbers.text((each + 0.5) / 400) for each in range(400))
    assert counts == {"3": 100, "4": 100, "5": 100, "6": 100}


def test_each_category_has_the_same_share() -> None:
    values = ["gbtree", "dart", "gblinear", "x"]
    (categories,) = ranges_of({"CategoricalParameterRanges": [{"Name": "booster", "Values": values}]})
    counts = Counter(categories.text((each + 0.5) / 400) for each in range(400))
    assert counts == dict.fromkeys(values, 100)
    assert categories.text(1.0) == "x"
    assert categories.features(0.3) == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"IntegerParameterRanges": [_given("3", "3", "Auto")]}, "The MinValue of the hyperparameter x must be less"),
        ({"IntegerParameterRanges": [_given("1.5", "3", "Auto")]}, "has the end '1.5', which is not an integer"),
        ({"ContinuousParameterRanges": [_given("nan", "3", "Auto")]}, "has the end 'nan', which is not a number"),
        ({"ContinuousParameterRanges": [_given("0", "3", "Logarithmic")]}, "Logarithmic scaling of x needs values"),
        ({"ContinuousParameterRanges": [_given("0", "1", "ReverseLogarithmic")]}, "needs values from 0 to below 1"),
        ({"IntegerParameterRanges": [_given("0", "1", "ReverseLogarithmic")]}, "needs a continuous range"),
        ({"CategoricalParameterRanges": [{"Name": "x", "Values": ["a", "a"]}]}, "x must differ"),
        (
            {
                "IntegerParameterRanges": [_given("1", "3", "Auto")],
                "CategoricalParameterRanges": [{"Name": "x", "Values": ["a"]}],
            },
            "The hyperparameter x has more than one range",
        ),
    ],
)
def test_a_range_without_meaning_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        ranges_of(given)
