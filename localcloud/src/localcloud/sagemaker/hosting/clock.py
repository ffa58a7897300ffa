"""The time that deployments go by, and that a test may turn."""

from __future__ import annotations

import threading
import time


class StoppedError(Exception):
    """The stand-in ends: what waits has to leave off."""


class Clock:
    """Tells the time and waits. Safe to share between threads."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for so long.

        Raises:
            StoppedError: the clock was or is stopped.
        """
        if self._stopped.wait(seconds):
            raise StoppedError

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stopped.set()
