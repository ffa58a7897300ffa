"""The metrics that a gate can name. To add one, write a function and its entry in ``METRICS``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A measure of scores against labels, from ``lowest`` to ``highest``.

    ``value`` takes labels and scores, both of shape ``(rows,)``, and returns NaN if the rows can't be judged.
    """

    more_is_better: bool
    lowest: float
    highest: float
    value: Callable[[Numbers, Numbers], float]

    def reaches(self, value: float, bound: float) -> bool:
        """Return whether a value is at least as good as a bound; NaN never is.

        Args:
            value: A value of this metric.
            bound: The value that just passes.
        """
        return value >= bound if self.more_is_better else value <= bound


def auc(labels: Numbers, scores: Numbers) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative.

    Args:
        labels: 0 or 1 for each row, of shape ``(rows,)``.
        scores: One for each row, of shape ``(rows,)``.

    Returns:
        From 0 to 1; NaN if the rows have one label only.
    """
    ranks = pd.Series(scores).rank().to_numpy()  # ties share their mean rank
    positives = labels == 1
    n, m = int(positives.sum()), int((~positives).sum())
    return float((ranks[positives].sum() - n * (n + 1) / 2) / (n * m)) if n and m else math.nan


METRICS: Mapping[str, Metric] = {"auc": Metric(more_is_better=True, lowest=0, highest=1, value=auc)}
