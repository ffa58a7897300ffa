"""The metrics that a gate can be on. To add one, write a function and its entry here."""

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
    """A measure of scores against labels: whether more is better, and between which values it lies.

    ``value`` takes labels and scores, both of shape ``(rows,)``, and returns NaN where it is not defined.
    """

    more_is_better: bool
    lowest: float
    highest: float
    value: Callable[[Numbers, Numbers], float]

    def reaches(self, value: float, bound: float) -> bool:
        """Whether a value is at least as good as the bound; NaN never is."""
        return value >= bound if self.more_is_better else value <= bound


def auc(labels: Numbers, scores: Numbers) -> float:
    """Area under the ROC curve of labels 0 and 1: the chance that a positive scores above a negative.

    NaN where one of the two classes is absent.
    """
    ranks = pd.Series(scores).rank().to_numpy()  # ties share their mean rank
    positives = labels == 1
    n, m = int(positives.sum()), int((~positives).sum())
    return float((ranks[positives].sum() - n * (n + 1) / 2) / (n * m)) if n and m else math.nan


METRICS: Mapping[str, Metric] = {"auc": Metric(more_is_better=True, lowest=0, highest=1, value=auc)}
