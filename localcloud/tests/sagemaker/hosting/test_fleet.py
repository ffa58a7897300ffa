"""Which variant answers a request."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from localcloud.sagemaker.algorithms.serving import Answer, Invocation
from localcloud.sagemaker.hosting.fleet import Apportionment, Fleet, NotServingError, UnknownVariantError, Variant


class Echo:
    def invoke(self, invocation: Invocation) -> Answer:
        return Answer(200, "text/plain", invocation.body)

    def execution_parameters(self) -> dict[str, Any]:
        return {}


def variants(config: str = "", **weights: float) -> tuple[Variant, ...]:
    return tuple(Variant(name, weight, Echo(), config=config) for name, weight in weights.items())


def test_weights_are_kept_exactly_and_spread_evenly() -> None:
    fleet = Fleet()
    fleet.switch("e", variants(large=3, small=1))
    chosen = [fleet.choose("e", None).name for _ in range(40)]
    assert Counter(chosen) == {"large": 30, "small": 10}
    assert all(Counter(chosen[start : start + 4]) == {"large": 3, "small": 1} for start in range(0, 40, 4))


def test_a_variant_with_weight_zero_gets_targeted_requests_only() -> None:
    fleet = Fleet()
    fleet.switch("e", variants(live=1, dark=0))
    assert {fleet.choose("e", None).name for _ in range(10)} == {"live"}
    assert fleet.choose("e", "dark").name == "dark"


def test_variants_that_all_have_weight_zero_share_evenly() -> None:
    fleet = Fleet()
    fleet.switch("e", variants(one=0, other=0))
    assert Counter(fleet.choose("e", None).name for _ in range(10)) == {"one": 5, "other": 5}


def test_an_endpoint_or_variant_that_does_not_serve_is_an_error() -> None:
    fleet = Fleet()
    with pytest.raises(NotServingError):
        fleet.choose("e", None)
    fleet.switch("e", variants(live=1))
    with pytest.raises(UnknownVariantError):
        fleet.choose("e", "other")
    fleet.drop("e")
    with pytest.raises(NotServingError):
        fleet.choose("e", "live")


def test_a_share_of_every_variant_goes_to_its_new_fleet_targeted_or_not() -> None:
    fleet = Fleet()
    fleet.shift(
        "e", variants("old", large=3, small=1), variants("new", large=3, small=1), {"large": 0.25, "small": 0.5}
    )
    chosen = Counter((each.name, each.config) for each in (fleet.choose("e", None) for _ in range(32)))
    assert chosen == {("large", "old"): 18, ("large", "new"): 6, ("small", "old"): 4, ("small", "new"): 4}
    targeted = Counter(fleet.choose("e", "large").config for _ in range(32))
    assert targeted == {"old": 24, "new": 8}


def test_many_threads_get_the_same_shares() -> None:
    fleet = Fleet()
    fleet.switch("e", variants(large=3, small=1))
    with ThreadPoolExecutor(8) as threads:
        chosen = Counter(threads.map(lambda _: fleet.choose("e", None).name, range(4000)))
    assert chosen == {"large": 3000, "small": 1000}


def test_turns_are_given_with_rounded_shares() -> None:
    turns = Apportionment([("a", 0.1), ("b", 0.2), ("c", 0.7)])
    turns._given, turns._turns = 10**12, [10**11, 2 * 10**11, 7 * 10**11]  # after years of requests
    assert Counter(turns.next() for _ in range(1000)) == {"a": 100, "b": 200, "c": 700}


WEIGHTS = st.one_of(st.sampled_from([0.0, 1.0, 3.0]), st.floats(0.001, 1000))
NAMES = [f"v{each}" for each in range(10)]


class Shares(RuleBasedStateMachine):
    """After any shifts of traffic, each variant of each fleet has had its share of the requests since the last one."""

    @initialize()
    def start(self) -> None:
        self.fleet = Fleet()
        self.requests: Counter[str | None] = Counter()
        self.answers: Counter[tuple[str | None, Variant]] = Counter()
        self.due: dict[Variant, float] = {}
        self.due_targeted: dict[Variant, float] = {}

    def _route(self, due: dict[Variant, float], due_targeted: dict[Variant, float]) -> None:
        total = sum(due.values())
        self.due = {each: value / total if total else 1 / len(due) for each, value in due.items()}
        self.due_targeted = due_targeted
        self.requests.clear()
        self.answers.clear()

    @rule(weights=st.lists(WEIGHTS, min_size=1, max_size=10))
    def switch(self, weights: list[float]) -> None:
        new = variants("new", **dict(zip(NAMES, weights, strict=False)))
        self.fleet.switch("e", new)
        self._route({each: each.weight for each in new}, dict.fromkeys(new, 1.0))

    @rule(weights=st.lists(st.tuples(WEIGHTS, WEIGHTS), min_size=1, max_size=5), share=st.floats(0.05, 0.95))
    def shift(self, weights: list[tuple[float, float]], share: float) -> None:
        old = variants("old", **{name: each for name, (each, _) in zip(NAMES, weights, strict=False)})
        new = variants("new", **{name: each for name, (_, each) in zip(NAMES, weights, strict=False)})
        self.fleet.shift("e", old, new, dict.fromkeys(NAMES, share))
        totals = [sum(each.weight for each in side) or 1.0 for side in (old, new)]
        self._route(
            {each: each.weight / totals[0] * (1 - share) for each in old}
            | {each: each.weight / totals[1] * share for each in new},
            dict.fromkeys(old, 1 - share) | dict.fromkeys(new, share),
        )

    @precondition(lambda self: self.due)
    @rule(count=st.integers(1, 60), pick=st.one_of(st.none(), st.integers(0, 9)))
    def choose(self, count: int, pick: int | None) -> None:
        names = sorted({each.name for each in self.due})
        target = None if pick is None else names[pick % len(names)]
        for _ in range(count):
            chosen = self.fleet.choose("e", target)
            self.requests[target] += 1
            self.answers[target, chosen] += 1
            assert target in (None, chosen.name)
            shares = self.due if target is None else self.due_targeted
            for each, share in shares.items():
                if target in (None, each.name):
                    assert abs(self.answers[target, each] - share * self.requests[target]) < 1


Shares.TestCase.settings = settings(max_examples=60, stateful_step_count=12)
TestShares = Shares.TestCase
