"""Waiting for a condition, with a time-out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SECONDS_BETWEEN_CALLS = 0.05


def wait_for(condition: Callable[[], T | None], *, seconds: float = 60.0, what: str = "the condition") -> T:
    """Return the first truthy value that ``condition`` returns.

    Args:
        condition: Called about 20 times a second.
        seconds: How long to wait at most.
        what: Names the condition in the error's message.

    Raises:
        AssertionError: There was no truthy value in time.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(_SECONDS_BETWEEN_CALLS)
    return value
