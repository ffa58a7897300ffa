"""What an invocation is given, and how it ends."""

from __future__ import annotations

import json
from dataclasses import dataclass

SUCCESS, ERROR, TIMEOUT, THROTTLED = "success", "error", "timeout", "throttled"


@dataclass(frozen=True)
class Invocation:
    """What a function is invoked with.

    Attributes:
        request_id: Identifies the invocation, also when it is tried again.
        payload: The event as JSON.
        arn: The ARN by which the function was invoked.
        client_context: The ClientContext as JSON, if any.
    """

    request_id: str
    payload: bytes
    arn: str
    client_context: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended.

    Attributes:
        status: ``success``, ``error``, ``timeout`` or ``throttled``.
        payload: The answer or the error as JSON; of a throttled invocation, the reason.
        error_type: What the log's REPORT line calls the error, if it isn't the handler's own.
        log: The log's last lines.
    """

    status: str
    payload: bytes
    error_type: str | None = None
    log: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the function was run, and failed."""
        return self.status in (ERROR, TIMEOUT)


def error(error_type: str, message: str, status: str = ERROR) -> Outcome:
    """Return the outcome of an invocation that Lambda itself ended."""
    return Outcome(status, json.dumps({"errorType": error_type, "errorMessage": message}).encode(), error_type)
