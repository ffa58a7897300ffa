"""Shifts an endpoint's traffic from its old fleet to its new one by a plan, and back when something goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.sagemaker.hosting.clock import Clock, StoppedError
from localcloud.sagemaker.hosting.fleet import Fleet, Variant
from localcloud.sagemaker.hosting.rollback_alarms import Alarms, AlarmsUnknownError
from localcloud.sagemaker.hosting.rollout import Plan, Step

_LOOK_SECONDS = 1.0  # between two looks at the alarms of a bake

logger = logging.getLogger(__name__)


class RolledBackError(Exception):
    """All traffic goes to the old fleet again; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Shift:
    """The change of an endpoint from one set of loaded variants to another.

    ``ends``: when the whole deployment has to be over, in seconds since the epoch.
    """

    endpoint: str
    old: tuple[Variant, ...]
    new: tuple[Variant, ...]
    plan: Plan
    ends: float


class TrafficShifter:
    """Carries shifts out."""

    def __init__(self, fleet: Fleet, alarms: Alarms, clock: Clock) -> None:
        self._fleet = fleet
        self._alarms = alarms
        self._clock = clock

    def run(self, shift: Shift, tell: Callable[[Step], None]) -> None:
        """Shift all traffic, step by step; ``tell`` hears of each step when its bake begins.

        Raises:
            RolledBackError: an alarm went off, or the time is over.
            StoppedError: the stand-in ends; traffic stays as it is.
        """
        try:
            for step in shift.plan.steps:
                self._bake(shift, 0.0)
                if step.is_full:
                    self._fleet.switch(shift.endpoint, shift.new)
                else:
                    self._fleet.shift(shift.endpoint, shift.old, shift.new, step.shares)
                tell(step)
                self._bake(shift, step.seconds)
        except StoppedError:
            raise
        except Exception:
            self._fleet.switch(shift.endpoint, shift.old)
            raise

    def _bake(self, shift: Shift, seconds: float) -> None:
        """Look at the alarms until the time is over; at least once, and on while CloudWatch doesn't tell."""
        until = self._clock.time() + seconds
        while True:
            told = self._look(shift)
            left = until - self._clock.time()
            if told and left <= 0:
                return
            self._clock.sleep(min(_LOOK_SECONDS, left) if left > 0 else _LOOK_SECONDS)

    def _look(self, shift: Shift) -> bool:
        """Whether CloudWatch told that all is well."""
        if self._clock.time() > shift.ends:
            raise RolledBackError(
                f"The deployment did not complete within its maximum execution timeout of {shift.plan.timeout:.0f} "
                "seconds. All traffic was rolled back to the old fleet."
            )
        try:
            gone_off = self._alarms.gone_off(shift.plan.alarms)
        except AlarmsUnknownError as error:
            logger.warning("endpoint %s: the deployment waits: %s", shift.endpoint, error)
            return False
        if gone_off:
            raise RolledBackError(
                "One or more of the CloudWatch alarms in AutoRollbackConfiguration went into the ALARM state during "
                f"the deployment: {', '.join(gone_off)}. All traffic was rolled back to the old fleet."
            )
        return True
