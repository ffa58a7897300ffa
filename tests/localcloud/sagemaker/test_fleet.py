"""Which variant answers a request."""

from __future__ import annotations

from collections import Counter

import pytest

from localcloud.sagemaker.fleet import Fleet, NotServingError, UnknownVariantError, Variant
from localcloud.sagemaker.serving import Answer, Invocation


class Echo:
    def invoke(self, invocation: Invocation) -> Answer:
        return Answer(200, "text/plain", invocation.body)


def variants(**weights: float) -> tuple[Variant, ...]:
    return tuple(Variant(name, weight, Echo()) for name, weight in weights.items())


def test_weights_are_kept_exactly_and_spread_evenly() -> None:
    fleet = Fleet()
    fleet.switch("e", variants(large=3, small=1))
    chosen = [fleet.choose("e", None).name for _ in range(40)]
    assert Counter(chosen) == {"large": 30, "small": 10}
    assert all(Counter(chosen[start : start + 4]) == {"large": 3, "small": 1} for start in range(0, 40, 4))


def test_a_weight_of_zero_gets_nothing_unless_targeted() -> None:
    fleet = Fleet()
    fleet.switch("e", variants(live=1, dark=0))
    assert {fleet.choose("e", None).name for _ in range(10)} == {"live"}
    assert fleet.choose("e", "dark").name == "dark"


def test_what_does_not_serve_is_told() -> None:
    fleet = Fleet()
    with pytest.raises(NotServingError):
        fleet.choose("e", None)
    fleet.switch("e", variants(live=1))
    with pytest.raises(UnknownVariantError):
        fleet.choose("e", "other")
    fleet.drop("e")
    with pytest.raises(NotServingError):
        fleet.choose("e", "live")
