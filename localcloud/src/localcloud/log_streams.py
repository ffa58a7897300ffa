"""Sends the lines of a process to a stream of CloudWatch Logs, while the process writes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, TypedDict

_PUBLISH_SECONDS = 1.0
_BATCH_EVENTS = 1000
_BATCH_BYTES = 1_000_000  # CloudWatch takes 1,048,576, and counts 26 for each message beside its text
_EVENT_BYTES = 26
_LONGEST_LINE = 60_000  # characters, of at most four bytes: CloudWatch takes events of 256 KiB


class LogEvent(TypedDict):
    """An event as CloudWatch Logs takes it; the timestamp is in milliseconds since the epoch."""

    timestamp: int
    message: str


class LogStream:
    """A stream to which one thread adds lines; another thread publishes them.

    Args:
        client: A client of CloudWatch Logs.
        group: The log group, which exists.
        stream: The name of the stream in the group, which exists.
    """

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._group = group
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: list[LogEvent] = []
        self._published = 0.0

    def add(self, line: str) -> None:
        """Add one line, without its line feed."""
        with self._lock:
            self._waiting.append({"timestamp": int(time.time() * 1000), "message": line[:_LONGEST_LINE] or " "})

    def publish_now_and_then(self) -> None:
        """Send the new lines, at most once a second. Raises what `publish` raises."""
        if time.monotonic() - self._published >= _PUBLISH_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Send the new lines.

        Raises:
            botocore.exceptions.BotoCoreError: CloudWatch Logs can't be reached; the lines are lost.
            botocore.exceptions.ClientError: CloudWatch Logs refuses them; they are lost.
        """
        with self._lock:
            events, self._waiting = self._waiting, []
        self._published = time.monotonic()
        for batch in _batches(events):
            self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=batch)


def _batches(events: list[LogEvent]) -> Iterator[list[LogEvent]]:
    batch, size = list[LogEvent](), 0
    for event in events:
        more = len(event["message"].encode()) + _EVENT_BYTES
        if batch and (len(batch) == _BATCH_EVENTS or size + more > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += more
    if batch:
        yield batch
