"""How strategies choose points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from localcloud.sagemaker.tuning.ranges import Range, ranges_of
from localcloud.sagemaker.tuning.strategies import STRATEGIES, Point, Trial, texts

_ONE: Any = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}


def tried(
    strategy: str, given: Any, count: int, seed: int, objective: Callable[[dict[str, str]], float]
) -> list[Trial]:
    """Return the trials of a search without pending ones."""
    ranges = ranges_of(given)
    trials: list[Trial] = []
    for _ in range(count):
        point = STRATEGIES[strategy](ranges, trials, seed)
        trials.append(Trial(point, objective(texts(ranges, point))))
    return trials


def hill(searched: dict[str, str]) -> float:
    """Return the height at x: highest, 0, at 0.3."""
    return -((float(searched["x"]) - 0.3) ** 2)


def points(trials: Sequence[Trial]) -> list[Point]:
    return [trial.point for trial in trials]


def test_a_grid_is_every_combination_once() -> None:
    given: Any = {
        "CategoricalParameterRanges": [
            {"Name": "booster", "Values": ["gbtree", "dart"]},
            {"Name": "max_depth", "Values": ["3", "5", "7"]},
        ]
    }
    ranges: list[Range] = ranges_of(given)
    chosen = [tuple(texts(ranges, each.point).values()) for each in tried("Grid", given, 6, 1, lambda _: 0.0)]
    assert chosen == [(booster, depth) for booster in ("gbtree", "dart") for depth in ("3", "5", "7")]


def test_a_seed_determines_random_points() -> None:
    first = points(tried("Random", _ONE, 5, 1, hill))
    assert first == points(tried("Random", _ONE, 5, 1, lambda _: 0.0)), "they do not depend on results"
    assert first != points(tried("Random", _ONE, 5, 2, hill))


def test_a_random_search_tries_nothing_twice() -> None:
    given: Any = {"IntegerParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": "8"}]}
    ranges = ranges_of(given)
    chosen = [texts(ranges, each.point)["x"] for each in tried("Random", given, 8, 1, lambda _: 0.0)]
    assert sorted(chosen) == [str(each) for each in range(1, 9)]


def test_a_bayesian_search_comes_nearer_than_a_random_one() -> None:
    for seed in (1, 2, 3):
        by_results = max(trial.value or 0.0 for trial in tried("Bayesian", _ONE, 10, seed, hill)[3:])
        at_random = max(trial.value or 0.0 for trial in tried("Random", _ONE, 10, seed, hill)[3:])
        assert by_results > -(0.02**2)
        assert by_results >= at_random


def test_a_bayesian_search_finds_the_best_category() -> None:
    given: Any = {
        **_ONE,
        "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c", "d"]}],
    }
    ranges = ranges_of(given)
    trials = tried("Bayesian", given, 16, 1, lambda searched: hill(searched) + (searched["kind"] == "c"))
    assert [texts(ranges, trial.point)["kind"] for trial in trials[8:]].count("c") >= 6


def test_a_seed_and_results_determine_bayesian_points() -> None:
    assert points(tried("Bayesian", _ONE, 6, 7, hill)) == points(tried("Bayesian", _ONE, 6, 7, hill))


def test_a_bayesian_search_leaves_the_surroundings_of_a_running_trial_alone() -> None:
    ranges, trials = ranges_of(_ONE), tried("Bayesian", _ONE, 5, 1, hill)
    next_one = STRATEGIES["Bayesian"](ranges, trials, 1)
    beside = STRATEGIES["Bayesian"](ranges, [*trials, Trial(next_one, None)], 1)
    assert abs(beside[0] - next_one[0]) > 1e-3
