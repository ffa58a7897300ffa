"""The metrics that a gate may name.

To add one, add its entry here, its name to the problems that it judges, and its function to
:mod:`sluice.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Metric:
    """What is known of a metric before anything is measured.

    Attributes:
        more_is_better: Whether a higher value is a better one.
        lowest: The lowest value that it can have.
        highest: The highest value that it can have.
    """

    more_is_better: bool
    lowest: float = 0
    highest: float = inf

    def reaches(self, value: float, bound: float) -> bool:
        """Return whether a value is at least as good as a bound; NaN never is.

        Args:
            value: A value of this metric.
            bound: The value that just passes.
        """
        return value >= bound if self.more_is_better else value <= bound

    def gain(self, value: float, other: float) -> float:
        """Return by how much a value is better than another one; below 0 if it is worse.

        Args:
            value: A value of this metric.
            other: The value that it is compared with.
        """
        return value - other if self.more_is_better else other - value


_SHARE = Metric(more_is_better=True, highest=1)
_ERROR = Metric(more_is_better=False)

METRICS: Mapping[str, Metric] = {
    "auc": _SHARE,
    "average_precision": _SHARE,
    "accuracy": _SHARE,
    "balanced_accuracy": _SHARE,
    "f1": _SHARE,
    "f1_macro": _SHARE,
    "log_loss": _ERROR,
    "multiclass_log_loss": _ERROR,
    "rmse": _ERROR,
    "mae": _ERROR,
    "r2": Metric(more_is_better=True, lowest=-inf, highest=1),
    "poisson_deviance": _ERROR,
    "ndcg": _SHARE,
}
