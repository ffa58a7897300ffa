"""What the transform requires of a runtime. To add one, such as Lambda, write a class like this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice.workspace import Workspace

# The result of a step, as sluice.steps.runner.run_step returns it: small enough for XCom.
StepResult = Mapping[str, Any]


@dataclass(frozen=True)
class Started:
    """Work that was started.

    Args:
        reference: The data with which the runtime finds the work again, as JSON; small enough for XCom.
    """

    reference: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """The limits of one start.

    Attributes:
        memory_mb: The most memory, in MiB; None if the runtime has no limit of its own.
        seconds: The longest time, in seconds; None if the runtime has no limit of its own.
    """

    memory_mb: int | None = None
    seconds: float | None = None


class Runtime(ABC):
    """Runs steps. The result does not depend on the runtime: same inputs, same bytes (P16).

    Attributes:
        limits: The limits of one start.
        dollars_per_second: The price of a second of the smallest size, in US dollars; 0 if it costs nothing beside what
            runs anyway.
    """

    limits: Limits = Limits()
    dollars_per_second: float = 0.0

    @abstractmethod
    def start(self, workspace: Workspace, step: str, ranges: str) -> Started:
        """Start a step. It is safe to repeat: a step whose inputs have not changed does nothing.

        Args:
            workspace: The pipeline.
            step: The name of the step.
            ranges: The partitions, as :func:`sluice.lake.partitions.parse_ranges` reads them.
        """

    @abstractmethod
    def look(self, started: Started) -> StepResult | None:
        """Return the result of what was started; None while it runs. Raise what the step raised."""
