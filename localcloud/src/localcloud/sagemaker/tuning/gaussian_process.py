"""Bayesian optimization: a Gaussian process predicts results, and the point from which it expects most comes next.

The service's own implementation isn't public. This one has a Matérn kernel, whose length is the likeliest of a few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, special  # type: ignore[import-untyped]

from localcloud.sagemaker.tuning.ranges import Range
from localcloud.sagemaker.tuning.strategies import Point, Trial, texts

_FEWEST = 3  # results from which anything can be learned
_DRAWN = 500  # points of which the most promising one is chosen
_NEAR = 50  # more of them, around the best point so far
_NEARNESS = 0.1
_LENGTHS = (0.1, 0.2, 0.5, 1.0, 2.0)  # how far away a result tells something
_NOISE = 1e-3  # the share of chance in the variance of results

Array = npt.NDArray[np.float64]


def promising_point(ranges: Sequence[Range], trials: Sequence[Trial], seed: int) -> Point | None:
    """Return the point with the highest expected improvement.

    Args:
        ranges: What is searched.
        trials: What was tried. A trial without a result counts as a mean one, so that its surroundings are left alone.
        seed: Determines the points that are looked at.

    Returns:
        None if there are too few results, or if every point that was looked at was tried before.
    """
    results = [(trial.value, trial.point) for trial in trials if trial.value is not None]
    if len(results) < _FEWEST:
        return None
    source = np.random.default_rng([seed, len(trials)])
    near = max(results)[1] + source.normal(0, _NEARNESS, (_NEAR, len(ranges)))
    looked_at = np.vstack([source.random((_DRAWN, len(ranges))), near.clip(0, 1)])
    tried = [texts(ranges, trial.point) for trial in trials]
    points = [point for point in map(tuple, looked_at.tolist()) if texts(ranges, point) not in tried]
    if not points:
        return None
    mean = sum(value for value, _ in results) / len(results)
    values = np.array([mean if trial.value is None else trial.value for trial in trials])
    known = _features(ranges, [trial.point for trial in trials])
    return points[int(np.argmax(_improvement(known, values, _features(ranges, points))))]


def _features(ranges: Sequence[Range], points: Sequence[Point]) -> Array:
    def features(point: Point) -> list[float]:
        return [each for one, position in zip(ranges, point, strict=True) for each in one.features(position)]

    return np.array([features(point) for point in points])


def _improvement(known: Array, values: Array, points: Array) -> Array:
    """Return the expected improvement of each point over the best value (Jones, Schonlau and Welch, 1998)."""
    scaled = (values - values.mean()) / (values.std() or 1.0)
    length = max(_LENGTHS, key=lambda each: _likelihood(known, scaled, each))
    factor = linalg.cho_factor(_covariance(known, known, length) + _NOISE * np.eye(len(known)))
    across = _covariance(points, known, length)
    mean = across @ linalg.cho_solve(factor, scaled)
    variance = 1 - np.sum(across * linalg.cho_solve(factor, across.T).T, axis=1)
    deviation = np.sqrt(variance.clip(min=1e-12))
    gain = (mean - scaled.max()) / deviation
    density = np.exp(-(gain**2) / 2) / math.sqrt(2 * math.pi)
    improvement: Array = deviation * (gain * special.ndtr(gain) + density)
    return improvement


def _likelihood(points: Array, values: Array, length: float) -> float:
    """Return the logarithm of the likelihood of the values, but for a constant."""
    factor: Any = linalg.cholesky(_covariance(points, points, length) + _NOISE * np.eye(len(points)), lower=True)
    solved = linalg.solve_triangular(factor, values, lower=True)
    return float(-0.5 * solved @ solved - np.log(np.diag(factor)).sum())


def _covariance(left: Array, right: Array, length: float) -> Array:
    """Return the Matérn kernel (5/2) between the points of two sets."""
    distance = math.sqrt(5) * np.linalg.norm(left[:, None, :] - right[None, :, :], axis=2) / length
    kernel: Array = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return kernel
