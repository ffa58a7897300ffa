"""Counts how many of the messages sent to it a FIFO queue keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

# SQS drops a message that repeats a deduplication id within five minutes, and returns the message id of the first.
_REMEMBERED_SECONDS = 360


class DistinctMessages:
    """Counts distinct message ids. It remembers an id for six minutes. Thread-safe.

    Attributes:
        count: The number of distinct ids.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def add(self, ids: Iterable[str]) -> None:
        """Count the ids that were not seen in the last six minutes."""
        with self._lock:
            now = time.monotonic()
            for each in ids:
                if each not in self._seen:
                    self._seen[each] = now
                    self.count += 1
            while self._seen and now - next(iter(self._seen.values())) > _REMEMBERED_SECONDS:
                del self._seen[next(iter(self._seen))]
