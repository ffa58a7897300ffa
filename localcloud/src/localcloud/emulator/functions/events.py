"""The events of asynchronous invocations that were accepted and are not done, in a file that survives a kill."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection
from dataclasses import astuple, dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    arn TEXT NOT NULL,
    payload BLOB NOT NULL,
    accepted REAL NOT NULL,
    attempts INTEGER NOT NULL,
    throttles INTEGER NOT NULL,
    due REAL NOT NULL
)
"""


@dataclass(frozen=True)
class Event:
    """An accepted event. Times are seconds since the epoch.

    Attributes:
        id: Its number in the file.
        request_id: The request id of all its invocations.
        arn: The function as it was invoked, with the qualifier if there was one.
        payload: The event as JSON.
        accepted: When it was accepted.
        attempts: How often the function has failed on it.
        throttles: How often it was throttled in a row.
        due: When it is tried again.
    """

    id: int
    request_id: str
    arn: str
    payload: bytes
    accepted: float
    attempts: int
    throttles: int
    due: float


class EventFile:
    """The file of events. What a call has written is in the file when it returns. Safe to share between threads.

    Args:
        path: The SQLite file; it is made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_SCHEMA)

    def add(self, request_id: str, arn: str, payload: bytes, now: float) -> None:
        """Add an event that is due now, in seconds since the epoch.

        Raises:
            sqlite3.Error: It could not be written, because the disk is full for instance.
        """
        with self._lock:
            self._connection.execute(
                "INSERT INTO events (request_id, arn, payload, accepted, attempts, throttles, due) "
                "VALUES (?, ?, ?, ?, 0, 0, ?)",
                (request_id, arn, payload, now, now),
            )

    def due(self, now: float, besides: Collection[int], most: int) -> list[Event]:
        """Return events that are due, the oldest first.

        Args:
            now: The time in seconds since the epoch.
            besides: The ids of events that are left out.
            most: How many at most.
        """
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM events WHERE due <= ? ORDER BY id LIMIT ?", (now, most + len(besides))
            ).fetchall()
        return [event for event in (Event(*row) for row in rows) if event.id not in besides][:most]

    def next_due(self, besides: Collection[int]) -> float | None:
        """Return when the next event is due, without those of the ids ``besides``; None if there is none."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, due FROM events ORDER BY due LIMIT ?", (len(besides) + 1,)
            ).fetchall()
        return next((due for number, due in rows if number not in besides), None)

    def replace(self, event: Event) -> None:
        """Write an event anew."""
        with self._lock:
            self._connection.execute("REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(event))

    def remove(self, event: Event) -> None:
        """Remove an event that is done."""
        with self._lock:
            self._connection.execute("DELETE FROM events WHERE id = ?", (event.id,))
