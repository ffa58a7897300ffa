"""The log of an attempt that has left no result."""

from __future__ import annotations

import logging
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain
from sluice.workspace import Workspace

_MOST_LINES = 10

_log = logging.getLogger(__name__)


def last_lines(workspace: Workspace, log: str) -> tuple[str, ...]:
    """Return the last messages of a log, the first line of each, or why it can't be read. It never fails.

    Args:
        workspace: The pipeline.
        log: The log group and the log stream, as ``group:stream``.
    """
    group, _, stream = log.partition(":")
    try:
        found = workspace.aws.client("logs").get_log_events(
            logGroupName=group, logStreamName=stream, limit=_MOST_LINES, startFromHead=False
        )
    except (BotoCoreError, ClientError) as error:
        return (f"the log can't be read: {explain(error)}",)
    # The first line of a message with a traceback is the error. Lambda's client separates its lines by \r.
    return tuple(line for event in found["events"] for line in event["message"].splitlines()[:1])


def find_line(workspace: Workspace, group: str, text: str, since: datetime) -> str | None:
    """Return the log that has a line with a text, as ``group:stream``; None if there is none yet. It never fails.

    Args:
        workspace: The pipeline.
        group: The log group.
        text: What the line has.
        since: The earliest time of the line (UTC).
    """
    try:
        found = workspace.aws.client("logs").filter_log_events(
            logGroupName=group, filterPattern=f'"{text}"', startTime=int(since.timestamp() * 1000), limit=1
        )
    except (BotoCoreError, ClientError) as error:
        _log.warning("log group %s can't be searched: %s", group, explain(error))  # the next look tries again
        return None
    return next((f"{group}:{event['logStreamName']}" for event in found["events"]), None)
