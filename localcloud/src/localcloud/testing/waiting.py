"""Waiting for a condition, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.05


def wait_for(look: Callable[[], T | None], *, seconds: float = 60.0, what: str = "the condition") -> T:
    """Return the first truthy value that ``look`` returns.

    Args:
        look: is called about 20 times a second.
        seconds: how long to wait at most.
        what: names the condition in the error's message.

    Raises:
        AssertionError: there was no truthy value in time.
    """
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what} didn't come about in {seconds} s"
        time.sleep(_LOOK_SECONDS)
    return seen
