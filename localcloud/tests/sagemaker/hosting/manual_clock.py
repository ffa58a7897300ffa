"""A clock that a test advances."""

from __future__ import annotations

import threading
from itertools import count

from localcloud.sagemaker.hosting.shifting import Clock, StoppedError
from localcloud.testing.waiting import wait_for


class ManualClock(Clock):
    """A clock whose time changes by `advance` only; `sleep` ends when its time has come."""

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
        """Advance the time, and wait until each sleeper that wakes sleeps again or has ended."""
        with self._changed:
            self._now += seconds
            self._changed.notify_all()
        wait_for(self._is_quiet, what="quiet after the clock was advanced")

    def asleep(self) -> None:
        """Wait until a thread sleeps."""
        wait_for(lambda: self._wakes, what="a thread that sleeps")

    def _is_quiet(self) -> bool:
        with self._changed:
            return all(wake > self._now for wake in self._wakes.values())
