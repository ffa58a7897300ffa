"""A clock that a test turns by hand."""

from __future__ import annotations

import threading
from itertools import count

from localcloud.sagemaker.hosting.shifting import Clock, StoppedError
from localcloud.testing.waiting import wait_for


class ManualClock(Clock):
    """Stands still until it is advanced; whoever sleeps on it wakes when the time has come."""

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self._stopped_by_hand = False
        self._changed = threading.Condition()
        self._wakes: dict[int, float] = {}
        self._numbers = count()

    def time(self) -> float:
        with self._changed:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._changed:
            number = next(self._numbers)
            self._wakes[number] = self._now + seconds
            self._changed.wait_for(lambda: self._stopped_by_hand or self._now >= self._wakes[number], timeout=60)
            del self._wakes[number]
            if self._stopped_by_hand:
                raise StoppedError

    def stop(self) -> None:
        with self._changed:
            self._stopped_by_hand = True
            self._changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Let time pass, and wait until whoever woke of it sleeps again or has ended."""
        with self._changed:
            self._now += seconds
            self._changed.notify_all()
        wait_for(self._is_quiet, what="quiet after the clock was advanced")

    def asleep(self) -> None:
        """Wait until somebody sleeps."""
        wait_for(lambda: self._wakes, what="somebody who sleeps")

    def _is_quiet(self) -> bool:
        with self._changed:
            return all(wake > self._now for wake in self._wakes.values())
