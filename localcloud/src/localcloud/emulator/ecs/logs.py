"""The log driver ``awslogs``: the output of a container, line by line, in CloudWatch Logs.

Source: Amazon ECS Developer Guide, "Send Amazon ECS logs to CloudWatch" and "Example Amazon ECS task definition: Route
logs to CloudWatch".
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.log_streams import LogStream

_LONGEST_READ = 60_000  # bytes of a line, the rest of which becomes another line

logger = logging.getLogger("ecs")


class LogError(Exception):
    """The stream can't be made; the message is the reason."""


class ContainerLog:
    """Copies a container's output to its stream; without one, it reads the output and drops it.

    Args:
        stream: The stream; None if the container has no log.
    """

    def __init__(self, stream: LogStream | None) -> None:
        self._stream = stream
        self._reader: threading.Thread | None = None

    def follow(self, output: IO[bytes]) -> None:
        """Read the output in a thread of its own, to its end."""
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def publish(self) -> None:
        """Send the new lines to CloudWatch Logs, at most once a second."""
        self._publish(last=False)

    def finish(self, seconds: float) -> None:
        """Wait for the end of the output, and send all lines.

        Args:
            seconds: How long to wait at most.
        """
        if self._reader is not None:
            self._reader.join(seconds)
        self._publish(last=True)

    def _read(self, output: IO[bytes]) -> None:
        for line in iter(functools.partial(output.readline, _LONGEST_READ), b""):
            if self._stream is not None:
                self._stream.add(line.decode(errors="replace").rstrip("\r\n"))

    def _publish(self, *, last: bool) -> None:
        if self._stream is None:
            return
        try:
            self._stream.publish() if last else self._stream.publish_now_and_then()
        except (BotoCoreError, ClientError) as error:
            logger.warning("lines of a container's log are lost: CloudWatch Logs: %s", error)


def log_of(container: dict[str, Any], task_id: str, client: Any) -> ContainerLog:
    """Return the log of a container, whose stream is made.

    Args:
        container: The container's definition.
        task_id: The id of its task.
        client: A client of CloudWatch Logs in the region that the definition names.

    Raises:
        LogError: The stream can't be made.
    """
    if "logConfiguration" not in container:
        return ContainerLog(None)
    options = container["logConfiguration"]["options"]
    group, stream = options["awslogs-group"], f"{options['awslogs-stream-prefix']}/{container['name']}/{task_id}"
    try:
        if options.get("awslogs-create-group") == "true":
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    except (BotoCoreError, ClientError) as error:
        raise LogError(f"failed to create Cloudwatch log stream: {error}") from error
    return ContainerLog(LogStream(client, group, stream))
