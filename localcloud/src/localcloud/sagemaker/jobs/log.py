"""A job's log: a file in the job's folder, and a stream in CloudWatch Logs, while its process writes it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.log_streams import LogStream
from localcloud.sagemaker.jobs.metrics import FinalMetrics

logger = logging.getLogger(__name__)


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
        self._name = stream
        self._stream = LogStream(client, group, stream)
        self._created = False

    def __enter__(self) -> JobLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._publish(self._stream.publish)
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
        self._stream.add(text.replace("\t", "#011"))

    def publish(self) -> None:
        """Send the new lines to CloudWatch, at most once a second."""
        self._publish(self._stream.publish_now_and_then)

    def _publish(self, publish: Callable[[], None]) -> None:
        if self._client is None:
            return
        try:
            self._create_stream(self._client)
            publish()
        except (BotoCoreError, ClientError) as error:
            logger.warning("the log of %s goes to its file only: CloudWatch Logs: %s", self._name, error)
            self._client = None

    def _create_stream(self, client: Any) -> None:
        if self._created:
            return
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=self._group)
        client.create_log_stream(logGroupName=self._group, logStreamName=self._name)
        self._created = True
