"""Intervals by the bootstrap: how far a metric may lie from its value because of which rows were in the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sluice.evaluation.metrics import Groups, Numbers, each_group, mean, measure

_RESAMPLES = 200
_SEED = 2013
_LOW, _HIGH = 2.5, 97.5  # percentiles of a 95 % interval


def resampled(
    metrics: Sequence[str], labels: Numbers, answers: Mapping[str, Numbers], groups: Groups | None = None
) -> Mapping[str, Mapping[str, Numbers]]:
    """Return each metric of several models on rows that are drawn again and again from the test rows.

    Whole groups are drawn where the problem has groups, because the rows of one depend on each other. All models are
    measured on the same draws, so that two of them can be compared draw by draw (Efron and Tibshirani, "An Introduction
    to the Bootstrap", 1993, chapter 13).

    Args:
        metrics: The names of the metrics.
        labels: Of shape ``(rows,)``.
        answers: Those of each model, by a name of the model.
        groups: The number of the group of each row, of shape ``(rows,)``; None if the problem has no groups.

    Returns:
        By model and metric, of shape ``(200,)``.
    """
    units = len(labels) if groups is None else len(np.unique(groups))
    draws = np.random.default_rng(_SEED).integers(0, units, size=(_RESAMPLES, units), dtype=np.int32)
    return {
        model: {metric: _values(metric, labels, answered, groups, draws) for metric in metrics}
        for model, answered in answers.items()
    }


def _values(
    metric: str, labels: Numbers, answers: Numbers, groups: Groups | None, draws: npt.NDArray[np.int32]
) -> Numbers:
    if groups is None:
        return np.array([measure(metric, labels[draw], answers[draw]) for draw in draws])
    values = each_group(metric, labels, answers, groups)  # the same in every draw that has the group
    return np.array([mean(values[draw]) for draw in draws])


def interval(values: Numbers) -> tuple[float, float]:
    """Return the ends of the 95 % interval of resampled values; those that could not be measured are left out.

    Args:
        values: Of shape ``(resamples,)``.

    Returns:
        Both NaN if none could be measured.
    """
    measured = values[~np.isnan(values)]
    if not len(measured):
        return float("nan"), float("nan")
    low, high = np.percentile(measured, (_LOW, _HIGH))
    return float(low), float(high)
