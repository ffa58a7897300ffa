"""The last lines of the log of an attempt that has left no result."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain
from sluice.compute.attempts import Claim
from sluice.workspace import Workspace

_MOST_LINES = 10


def last_lines(workspace: Workspace, claim: Claim) -> tuple[str, ...]:
    """Return the last lines of an attempt's log, or why it can't be read. It never fails.

    Args:
        workspace: The pipeline.
        claim: Who has run the attempt.
    """
    group, _, stream = claim.log.partition(":")
    try:
        found = workspace.aws.client("logs").get_log_events(
            logGroupName=group, logStreamName=stream, limit=_MOST_LINES, startFromHead=False
        )
    except (BotoCoreError, ClientError) as error:
        return (f"the log can't be read: {explain(error)}",)
    return tuple(event["message"].rstrip() for event in found["events"])
