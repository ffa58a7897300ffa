"""Waiting for a condition, with a time-out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.05


def wait_for(look: Callable[[], T | None], *, seconds: float = 60.0, what: str = "the condition") -> T:
    """Return the first truthy value that ``look`` returns.

    Args:
        look: Called about 20 times a second.
        seconds: How long to wait at most.
        what: Names the condition in the error's message.

    Raises:
        AssertionError: There was no truthy value in time.
    """
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what} didn't come about in {seconds} s"
        time.sleep(_LOOK_SECONDS)
    return seen
