"""Metrics are read from the log by regular expressions, as the service does."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MetricDefinition:
    """A metric's name and the expression whose first group is its value."""

    name: str
    regex: str

    def as_request(self) -> dict[str, str]:
        """As AlgorithmSpecification.MetricDefinitions has it."""
        return {"Name": self.name, "Regex": self.regex}


class FinalMetrics:
    """The last value of each metric seen in a log."""

    def __init__(self, definitions: tuple[MetricDefinition, ...]) -> None:
        self._definitions = [(each.name, re.compile(each.regex)) for each in definitions]
        self._last: dict[str, tuple[float, float]] = {}

    def read(self, line: str, now: float) -> None:
        """Look at one line of the log; the service sees a TAB as ``#011``."""
        escaped = line.replace("\t", "#011")
        for name, expression in self._definitions:
            found = expression.search(escaped)
            if found is not None and math.isfinite(value := float(found.group(1))):
                self._last[name] = (value, now)

    def as_answer(self) -> list[dict[str, Any]]:
        """FinalMetricDataList."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": timestamp}
            for name, (value, timestamp) in sorted(self._last.items())
        ]
