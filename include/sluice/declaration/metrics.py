"""The metrics that a gate may name.

To add one, add its entry here and its function in :mod:`sluice.evaluation.metrics`.
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
        highest: The highest value that it can have; the lowest is 0.
        of_probabilities: Whether it takes the probability of a positive. If not, it takes any score.
    """

    more_is_better: bool
    highest: float
    of_probabilities: bool

    def reaches(self, value: float, bound: float) -> bool:
        """Return whether a value is at least as good as a bound; NaN never is.

        Args:
            value: A value of this metric.
            bound: The value that just passes.
        """
        return value >= bound if self.more_is_better else value <= bound


METRICS: Mapping[str, Metric] = {
    "auc": Metric(more_is_better=True, highest=1, of_probabilities=False),
    "average_precision": Metric(more_is_better=True, highest=1, of_probabilities=False),
    "accuracy": Metric(more_is_better=True, highest=1, of_probabilities=True),
    "balanced_accuracy": Metric(more_is_better=True, highest=1, of_probabilities=True),
    "f1": Metric(more_is_better=True, highest=1, of_probabilities=True),
    "log_loss": Metric(more_is_better=False, highest=inf, of_probabilities=True),
}
