"""Shifts an endpoint's traffic from its old fleet to its new one by a plan, and back if an alarm goes off."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.hosting.fleet import Fleet, Variant
from localcloud.sagemaker.hosting.rollout import Plan, Step

_LOOK_SECONDS = 1.0  # between two looks at the alarms during a bake

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The stand-in ends, so every wait ends."""


class Clock:
    """The time of deployments, which tests replace. Safe to share between threads."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def time(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds.

        Raises:
            StoppedError: The clock is stopped, before or meanwhile.
        """
        if self._stopped.wait(seconds):
            raise StoppedError

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stopped.set()


class AlarmsUnknownError(Exception):
    """CloudWatch doesn't answer; the message says why."""


class AlarmState(TypedDict):
    """An alarm as CloudWatch describes it."""

    AlarmName: str
    StateValue: str


class Alarms:
    """The CloudWatch alarms that may roll a deployment back, of metrics and composite ones.

    Args:
        client: A client of CloudWatch. Names are looked up at most ten at once (one page of DescribeAlarms).
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the names that no alarm has.

        Raises:
            AlarmsUnknownError: CloudWatch doesn't answer.
        """
        found = {alarm["AlarmName"] for alarm in self._described(names)}
        return [name for name in names if name not in found]

    def gone_off(self, names: Sequence[str]) -> list[str]:
        """Return the names whose alarms are in the state ALARM; INSUFFICIENT_DATA doesn't count.

        Raises:
            AlarmsUnknownError: CloudWatch doesn't answer.
        """
        return [alarm["AlarmName"] for alarm in self._described(names) if alarm["StateValue"] == "ALARM"]

    def _described(self, names: Sequence[str]) -> list[AlarmState]:
        if not names:
            return []
        try:
            found = self._client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        except (BotoCoreError, ClientError) as error:
            raise AlarmsUnknownError(f"CloudWatch does not report the state of {', '.join(names)}: {error}") from error
        return [*found["MetricAlarms"], *found["CompositeAlarms"]]


class RolledBackError(Exception):
    """All traffic is back on the old fleet; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Shift:
    """The change of an endpoint from one set of loaded variants to another.

    Attributes:
        endpoint: The endpoint's name.
        old: The variants that serve.
        new: The variants that will serve.
        plan: The steps of the change.
        ends: The deadline of the whole deployment, in seconds since the epoch.
    """

    endpoint: str
    old: tuple[Variant, ...]
    new: tuple[Variant, ...]
    plan: Plan
    ends: float


class TrafficShifter:
    """Carries out shifts."""

    def __init__(self, fleet: Fleet, alarms: Alarms, clock: Clock) -> None:
        self._fleet = fleet
        self._alarms = alarms
        self._clock = clock

    def run(self, shift: Shift, report: Callable[[Step], None]) -> None:
        """Shift all traffic, step by step.

        Args:
            shift: The change.
            report: Called with each step when its bake begins.

        Raises:
            RolledBackError: An alarm went off, or the time is over.
            StoppedError: The stand-in ends; traffic stays as it is.
        """
        try:
            for step in shift.plan.steps:
                self._bake(shift, 0.0)
                if step.is_full:
                    self._fleet.switch(shift.endpoint, shift.new)
                else:
                    self._fleet.shift(shift.endpoint, shift.old, shift.new, step.shares)
                report(step)
                self._bake(shift, step.seconds)
        except StoppedError:
            raise
        except Exception:
            self._fleet.switch(shift.endpoint, shift.old)
            raise

    def _bake(self, shift: Shift, seconds: float) -> None:
        """Watch the alarms until the time is over: at least once, and until CloudWatch answers."""
        until = self._clock.time() + seconds
        while True:
            is_well = self._look(shift)
            left = until - self._clock.time()
            if is_well and left <= 0:
                return
            self._clock.sleep(min(_LOOK_SECONDS, left) if left > 0 else _LOOK_SECONDS)

    def _look(self, shift: Shift) -> bool:
        """Return whether no alarm is off; False if CloudWatch doesn't answer."""
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
