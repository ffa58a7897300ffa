"""A job's log: a file in the job's folder, and a stream in CloudWatch Logs, while its process writes it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.jobs.metrics import FinalMetrics

_PUBLISH_SECONDS = 1.0
_BATCH_EVENTS = 1000
_BATCH_BYTES = 1_000_000  # CloudWatch takes 1,048,576, and counts 26 for each message beside its text
_EVENT_BYTES = 26
_LONGEST_LINE = 60_000  # characters, of at most four bytes: CloudWatch takes events of 256 KiB

logger = logging.getLogger(__name__)


class LogEvent(TypedDict):
    """An event as CloudWatch Logs takes it; the timestamp is in milliseconds since the epoch."""

    timestamp: int
    message: str


class JobLog:
    """Takes a child's output line by line in one thread; another thread calls `publish`.

    Args:
        path: The file to write. Its folder takes the place of the container's root.
        client: A client of CloudWatch Logs. A job doesn't fail because its log can't be published.
        group: The log group of all jobs of the kind.
        stream: The name of the stream in the group.
    """

    def __init__(self, path: Path, client: Any, group: str, stream: str) -> None:
        self._file = path.open("w")
        self._root = str(path.parent)
        self._client: Any | None = client
        self._group = group
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: list[LogEvent] = []
        self._published = 0.0
        self._created = False

    def __enter__(self) -> JobLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._publish_waiting()
        self._file.close()

    def copy(self, lines: IO[str], metrics: FinalMetrics) -> None:
        """Copy lines, and read the metrics of each, until the child closes its output."""
        for line in lines:
            metrics.read(line, time.time())
            self.write(line)

    def write(self, line: str) -> None:
        """Add one line, with or without its line feed, and with paths as the container has them."""
        text = line.rstrip("\n").replace(self._root, "")
        self._file.write(f"{text}\n")
        self._file.flush()
        message = text.replace("\t", "#011")[:_LONGEST_LINE]
        with self._lock:
            self._waiting.append({"timestamp": int(time.time() * 1000), "message": message or " "})

    def publish(self) -> None:
        """Send the new lines to CloudWatch, at most once a second."""
        if time.monotonic() - self._published >= _PUBLISH_SECONDS:
            self._publish_waiting()

    def _publish_waiting(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, []
        self._published = time.monotonic()
        if self._client is None or not events:
            return
        try:
            self._create_stream(self._client)
            for batch in _batches(events):
                self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=batch)
        except (BotoCoreError, ClientError) as error:
            logger.warning("the log of %s goes to its file only: CloudWatch Logs: %s", self._stream, error)
            self._client = None

    def _create_stream(self, client: Any) -> None:
        if self._created:
            return
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=self._group)
        client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        self._created = True


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
