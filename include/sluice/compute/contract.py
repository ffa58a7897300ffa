"""What the transform asks of a runtime. To add one, such as Lambda, write a class like this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice.workspace import Workspace

# What a step has done, as sluice.steps.runner.run_step returns it: small enough for XCom.
StepResult = Mapping[str, Any]


@dataclass(frozen=True)
class Started:
    """Work that was started. ``reference`` is what the runtime finds it by, as JSON; it fits into XCom."""

    reference: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """What one start may take: ``memory_mb`` in MiB and ``seconds``; None where the runtime has no limit of its own."""

    memory_mb: int | None = None
    seconds: float | None = None


class Runtime(ABC):
    """Runs steps. The result does not depend on the runtime: same inputs, same bytes (P16)."""

    limits: Limits = Limits()
    # US dollars for a second of its smallest size; 0 where it costs nothing beside what runs anyway.
    dollars_per_second: float = 0.0

    @abstractmethod
    def start(self, workspace: Workspace, step: str, ranges: str) -> Started:
        """Start a step over the partitions in ``ranges``. Safe to repeat: a step whose inputs stand does nothing."""

    @abstractmethod
    def look(self, started: Started) -> StepResult | None:
        """The result of what was started; None while it runs. Raises what the step raised."""
