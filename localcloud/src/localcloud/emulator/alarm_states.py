"""The state of a metric alarm by its datapoints, as in CloudWatch: M out of N, some of which may be missing.

Restores: CloudWatch looks at more datapoints than it evaluates, so that few of them have to be filled in.

Source: Amazon CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

OK = "OK"
ALARM = "ALARM"
INSUFFICIENT_DATA = "INSUFFICIENT_DATA"

_FURTHER_PERIODS = 2  # beyond the evaluated ones: the guide's tables have five datapoints to evaluate three

_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Rule:
    """What an alarm compares, and how many of its datapoints have to be breaching.

    Attributes:
        comparison: The ComparisonOperator.
        threshold: The threshold.
        evaluation_periods: How many datapoints are evaluated.
        datapoints_to_alarm: How many of them have to be breaching for an alarm.
        missing: How missing datapoints count (TreatMissingData).
    """

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: str

    @property
    def periods(self) -> int:
        """The number of newest datapoints that the state depends on."""
        return self.evaluation_periods + _FURTHER_PERIODS

    def state(self, datapoints: Sequence[float | None], current: str) -> str:
        """Return the next state.

        Args:
            datapoints: The newest datapoints, the newest first; None for a missing one.
            current: The present state.
        """
        breaching = [value if value is None else self._breaches(value) for value in datapoints]
        known = [value for value in breaching if value is not None][: self.evaluation_periods]
        made_up = self.evaluation_periods - len(known)
        if self.missing == "breaching":
            return self._state(known.count(True) + made_up)
        if not made_up or self.missing == "notBreaching" or self._state(known.count(True)) == ALARM or False in known:
            return self._state(known.count(True))
        if self.missing == "ignore":
            return current
        # All known datapoints are breaching, but they are too few. CloudWatch raises the alarm even so, if the oldest
        # breach is old enough.
        oldest = max((age for age, value in enumerate(breaching, start=1) if value), default=0)
        return ALARM if oldest >= self.datapoints_to_alarm else INSUFFICIENT_DATA

    def reason(self, state: str, datapoints: Sequence[float | None]) -> str:
        """Return the reason for a state as CloudWatch words it, without the times of the datapoints.

        Args:
            state: The state that `state` returned.
            datapoints: The datapoints that it was given.
        """
        known = [value for value in datapoints if value is not None][: self.evaluation_periods]
        missing = self.evaluation_periods - len(known)
        if state == INSUFFICIENT_DATA:
            return f"Insufficient Data: {_count(missing)} {_were(missing)} unknown."
        if not known:
            return (
                f"Threshold Crossed: no datapoints were received for {_count(missing, 'period')} and "
                f"{_count(missing, 'missing datapoint')} {_were(missing)} treated as [{self._treatment()}]."
            )
        words = _COMPARISONS[self.comparison][1]
        if state == OK:
            return (
                f"Threshold Crossed: {_count(len(known))} {known} {_were(len(known))} not {words} "
                f"the threshold ({self.threshold})."
            )
        breaching = [value for value in known if self._breaches(value)]
        return (
            f"Threshold Crossed: {len(breaching)} out of the last {self.evaluation_periods} datapoints {breaching} "
            f"{_were(len(breaching))} {words} the threshold ({self.threshold}) (minimum "
            f"{_count(self.datapoints_to_alarm)} for OK -> ALARM transition)."
        )

    def _breaches(self, value: float) -> bool:
        return _COMPARISONS[self.comparison][0](value, self.threshold)

    def _state(self, breaching: int) -> str:
        return ALARM if breaching >= self.datapoints_to_alarm else OK

    def _treatment(self) -> str:
        return "Breaching" if self.missing == "breaching" else "NonBreaching"


def is_known(comparison: object) -> bool:
    """Return whether it is a comparison with a threshold; those with an anomaly band aren't evaluated."""
    return comparison in _COMPARISONS


def _count(number: int, noun: str = "datapoint") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
