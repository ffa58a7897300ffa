"""Metrics are read from the log by regular expressions, as the service does."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

import regex

_MOST = 40
_MATCH_SECONDS = 0.5  # a line; expressions come with requests, and some take exponential time


class MetricDefinitionMember(TypedDict):
    """A metric definition, as requests and answers have it."""

    Name: str
    Regex: str


@dataclass(frozen=True)
class MetricDefinition:
    """A metric's name and the expression whose first group is its value."""

    name: str
    regex: str

    def as_request(self) -> MetricDefinitionMember:
        """As AlgorithmSpecification.MetricDefinitions has it."""
        return {"Name": self.name, "Regex": self.regex}


class FinalMetrics:
    """The last value of each metric seen in a log.

    Raises:
        regex.error: an expression isn't one.
    """

    def __init__(self, definitions: Iterable[MetricDefinition]) -> None:
        self._definitions = [(each.name, regex.compile(each.regex)) for each in definitions]
        self._last: dict[str, tuple[float, float]] = {}

    def read(self, line: str, now: float) -> None:
        """Look at one line of the log; the service sees a TAB as ``#011``."""
        escaped = line.replace("\t", "#011")
        for name, expression in self._definitions:
            value = _value(expression, escaped)
            if math.isfinite(value):
                self._last[name] = (value, now)

    def as_answer(self) -> list[dict[str, Any]]:
        """FinalMetricDataList, which has room for 40: those that are defined last go first."""
        shown = [name for name, _ in self._definitions if name in self._last][-_MOST:]
        return [
            {"MetricName": name, "Value": value, "Timestamp": timestamp}
            for name, (value, timestamp) in sorted((name, self._last[name]) for name in shown)
        ]


def _value(expression: regex.Pattern[str], line: str) -> float:
    """The number in the first group; NaN if there is none."""
    try:
        found = expression.search(line, timeout=_MATCH_SECONDS)
        return float(found.group(1)) if found is not None else math.nan
    except (TimeoutError, ValueError, TypeError, IndexError):
        return math.nan
