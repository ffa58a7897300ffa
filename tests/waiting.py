"""Waiting for a condition, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05


def wait_for(probe: Callable[[], T | None], *, seconds: float = 60.0, what: str = "the condition") -> T:
    """Return the first truthy value of ``probe``; fail the test if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (seen := probe()):
        assert time.monotonic() < deadline, f"{what} was not met in {seconds} s"
        time.sleep(_POLL_SECONDS)
    return seen
