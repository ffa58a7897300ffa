"""How the hyperparameters of the next training job are chosen. The same seed and results give the same choice."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from localcloud.sagemaker.tuning.ranges import Range

Point = tuple[float, ...]
"""A position from 0 to 1 for each range."""

_TRIES = 1000  # until a point that was tried before is tried again


@dataclass(frozen=True)
class Trial:
    """A training job that was started.

    Attributes:
        point: What it was started with.
        value: Its objective, of which more is better; None if it has not ended, or failed.
    """

    point: Point
    value: float | None


def texts(ranges: Sequence[Range], point: Point) -> dict[str, str]:
    """Return the hyperparameters at a point, by name."""
    return {each.name: each.text(position) for each, position in zip(ranges, point, strict=True)}


def grid_point(ranges: Sequence[Range], trials: Sequence[Trial], _seed: int) -> Point:
    """Return the next combination of categories; those of the last range come first."""
    # The middle of a category's share of the positions.
    shares = [[(each + 0.5) / int(one.count) for each in range(int(one.count))] for one in ranges]
    return next(itertools.islice(itertools.product(*shares), len(trials), None))


def random_point(ranges: Sequence[Range], trials: Sequence[Trial], seed: int) -> Point:
    """Return a point that was drawn by the seed, and whose hyperparameters no trial has, if there are any left."""
    source = random.Random(f"{seed} {len(trials)}")  # noqa: S311  # it keeps no secret
    tried = [texts(ranges, trial.point) for trial in trials]
    for _ in range(_TRIES):
        point = tuple(source.random() for _ in ranges)
        if texts(ranges, point) not in tried:
            break
    return point


def bayesian_point(ranges: Sequence[Range], trials: Sequence[Trial], seed: int) -> Point:
    """Return the most promising point by the results so far; at first a random one."""
    # scipy takes most of a second to import, which a stand-in that tunes nothing doesn't need.
    from localcloud.sagemaker.tuning.gaussian_process import promising_point

    return promising_point(ranges, trials, seed) or random_point(ranges, trials, seed)


STRATEGIES: Mapping[str, Callable[[Sequence[Range], Sequence[Trial], int], Point]] = {
    "Bayesian": bayesian_point,
    "Grid": grid_point,
    "Random": random_point,
}
