"""Metrics, which are read from the log by regular expressions, as on the service."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

import regex

_MOST = 40
_MATCH_SECONDS = 0.5  # a line; expressions come with requests, and some take exponential time


class MetricDefinitionMember(TypedDict):
    """A metric definition, as requests and answers have it."""

    Name: str
    Regex: str


class FinalMetric(TypedDict):
    """The last value of a metric, as answers have it; the time is in seconds since the epoch."""

    MetricName: str
    Value: float
    Timestamp: float


@dataclass(frozen=True)
class MetricDefinition:
    """A metric's name and the expression whose first group is its value."""

    name: str
    regex: str

    def as_request(self) -> MetricDefinitionMember:
        """Return the member of AlgorithmSpecification.MetricDefinitions."""
        return {"Name": self.name, "Regex": self.regex}


class FinalMetrics:
    """The last value of each metric in a log.

    Args:
        definitions: The metrics, in the order in which the answer drops them if there are too many.

    Raises:
        regex.error: An expression isn't valid.
    """

    def __init__(self, definitions: Iterable[MetricDefinition]) -> None:
        self._definitions = [(each.name, regex.compile(each.regex)) for each in definitions]
        self._last: dict[str, tuple[float, float]] = {}

    def read(self, line: str, now: float) -> None:
        """Read the metrics of one line of the log.

        Args:
            line: The line; the expressions see its TABs as ``#011``, as on the service.
            now: When the line was written, in seconds since the epoch.
        """
        escaped = line.replace("\t", "#011")
        for name, expression in self._definitions:
            value = _value(expression, escaped)
            if math.isfinite(value):
                self._last[name] = (value, now)

    def as_answer(self) -> list[FinalMetric]:
        """Return FinalMetricDataList, sorted by name; of more than 40 metrics, those that are defined last."""
        shown = [name for name, _ in self._definitions if name in self._last][-_MOST:]
        return [
            {"MetricName": name, "Value": value, "Timestamp": timestamp}
            for name, (value, timestamp) in sorted((name, self._last[name]) for name in shown)
        ]


def _value(expression: regex.Pattern[str], line: str) -> float:
    """Return the number in the first group; NaN if there is none."""
    try:
        found = expression.search(line, timeout=_MATCH_SECONDS)
        return float(found.group(1)) if found is not None else math.nan
    except (TimeoutError, ValueError, TypeError, IndexError):
        return math.nan
