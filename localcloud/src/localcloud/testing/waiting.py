"""Waiting for a condition, with a time-out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T | None], *, seconds: float = 60.0, what: str = "the condition", every: float = 0.05
) -> T:
    """Return the first truthy value that ``condition`` returns.

    Args:
        condition: Called again and again.
        seconds: How long to wait at most.
        what: Names the condition in the error's message.
        every: Seconds between two calls.

    Raises:
        AssertionError: There was no truthy value in time.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(every)
    return value
