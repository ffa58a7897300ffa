"""Jobs queue for the machine's cores: first come, first served."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Cores:
    """A number of cores that jobs take and give back. The first in the queue is never passed by a smaller one."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, wanted: int, cancelled: threading.Event) -> Iterator[bool]:
        """Hold ``wanted`` cores (at most all of them); False without any if ``cancelled`` is set meanwhile."""
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
        """How many are in the queue."""
        with self._changed:
            return len(self._queue)

    def wake(self) -> None:
        """Let the waiting look at their ``cancelled`` again."""
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
