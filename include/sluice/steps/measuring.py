"""Measures a run of a step: its time, its memory, its list price."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass

from sluice.lake.manifests import Run
from sluice.steps.plan import Plan
from sluice.steps.planned import Span


def peak_mb() -> int:
    """Return the most resident memory that this process has had, in MiB, without processes of its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # KiB on Linux


@dataclass(frozen=True)
class Place:
    """Where a step runs, and why there.

    Args:
        runtime: The runtime with its size, such as ``Lambda with 2048 MB``.
        reason: Why it was chosen.
        dollars_per_second: The list price of a second, in US dollars; 0 if it costs nothing beside what runs anyway.
        peak_mb: Returns the most memory that the step has held until now, in MiB.
    """

    runtime: str
    reason: str
    dollars_per_second: float = 0.0
    peak_mb: Callable[[], int] = peak_mb


WORKER = Place("the Airflow worker", "declared")


class Stopwatch:
    """Measures the run of partitions that are made together, from now on.

    Args:
        place: Where it runs.
        plan: The run of which they are a part.
        span: The partitions.
        clock: Returns seconds.
    """

    def __init__(self, place: Place, plan: Plan, span: Span, clock: Callable[[], float]) -> None:
        self._place, self._plan, self._span, self._clock = place, plan, span, clock
        self._begun = clock()

    def read(self) -> list[Run]:
        """Return what was measured until now, for each partition. Each has an equal share of the time."""
        seconds = round((self._clock() - self._begun) / len(self._span), 3)
        return [
            Run(
                runtime=self._place.runtime,
                reason=self._place.reason,
                bytes=planned.size,
                bytes_at_once=self._plan.bytes_at_once,
                seconds=seconds,
                peak_mb=self._place.peak_mb(),
                dollars=round(seconds * self._place.dollars_per_second, 8),
            )
            for planned in self._span
        ]
