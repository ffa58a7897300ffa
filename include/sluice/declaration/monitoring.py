"""How a live model is watched, as a user declares it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import inf

from sluice.declaration.checks import check_count, check_duration, check_number, check_text
from sluice.declaration.metrics import Metric
from sluice.errors import DeclarationError

_MOST_PARTITIONS = 1_000
_SHORTEST_AGE, _LONGEST_AGE = timedelta(minutes=1), timedelta(days=365)  # no stream keeps an event for longer


@dataclass(frozen=True)
class Monitoring:
    """What is watched of a live model and its sources, and what happens if a bound is exceeded.

    Args:
        schedule: When Airflow looks (UTC): a preset such as ``@daily``, or a cron expression.
        window: How many partitions are judged: the newest of those that came after the model's own training data.
        worst: The bound of the gate's metric on the window; None: the gate's own.
        drift: The population stability index above which a feature has drifted. By the usual rule, 0.1 to 0.25 is a
            small change, and more is a significant one (N. Siddiqi, Credit Risk Scorecards, Wiley 2006).
        oldest: How old the oldest event that waits in a source may be; None: this is not watched.
        retrain: Whether a model that is worse than its bound, or a feature that has drifted, starts a training.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    schedule: str = "@daily"
    window: int = 7
    worst: float | None = None
    drift: float = 0.25
    oldest: timedelta | None = None
    retrain: bool = False

    def __post_init__(self) -> None:
        check_text("monitoring", "schedule", self.schedule, "@daily")
        check_count("monitoring", "window", self.window, 1, _MOST_PARTITIONS)
        check_number("monitoring", "drift", self.drift, 0, inf)
        if self.oldest is not None:
            check_duration("monitoring", "oldest", self.oldest, _SHORTEST_AGE, _LONGEST_AGE)
        if type(self.retrain) is not bool:
            raise DeclarationError(f"monitoring: retrain={self.retrain!r} must be True or False")

    def check_metric(self, metric: Metric) -> None:
        """Require that the bound is one of the gate's metric.

        Args:
            metric: The metric of the gate.

        Raises:
            DeclarationError: the metric never has such a value.
        """
        if self.worst is not None:
            check_number("monitoring", "worst", self.worst, metric.lowest, metric.highest)
