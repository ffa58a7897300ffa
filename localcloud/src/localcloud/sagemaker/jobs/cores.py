"""The queue of jobs for the machine's cores: first come, first served."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Cores:
    """A number of cores that jobs take and give back. No smaller job overtakes the first in the queue."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, wanted: int, cancelled: threading.Event) -> Iterator[bool]:
        """Hold cores for as long as the context lasts.

        Args:
            wanted: How many cores; more than all of them counts as all.
            cancelled: Ends the wait when it is set, and `wake` is called.

        Yields:
            Whether the cores are held; False if ``cancelled`` was set first.
        """
        count = min(wanted, self.total)
        granted = self._wait(count, cancelled)
        try:
            yield granted
        finally:
            if granted:
                with self._changed:
                    self._free += count
                    self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many jobs are in the queue."""
        with self._changed:
            return len(self._queue)

    def wake(self) -> None:
        """Make the jobs in the queue check their ``cancelled`` again."""
        with self._changed:
            self._changed.notify_all()

    def _wait(self, count: int, cancelled: threading.Event) -> bool:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            self._changed.wait_for(lambda: cancelled.is_set() or (self._queue[0] is ticket and self._free >= count))
            self._queue.remove(ticket)
            granted = not cancelled.is_set()
            if granted:
                self._free -= count
            self._changed.notify_all()
            return granted
