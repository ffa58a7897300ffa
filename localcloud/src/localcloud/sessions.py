"""Ends all processes of a session, whichever group they are in: of a container nothing is left.

Source: Linux, setsid(2), credentials(7): a child is in the session of its parent; a process may lead a group of its own
within it.
"""

from __future__ import annotations

import contextlib
import os
import time

import psutil

_END_SECONDS = 10.0
_LOOK_SECONDS = 0.005


def kill_session(leader: int) -> None:
    """Kill all processes of a session but the caller's own, and wait until they have ended.

    Args:
        leader: The pid of the process that has begun the session; it may have ended.
    """
    ends = time.monotonic() + _END_SECONDS
    while _kill_members(leader) and time.monotonic() < ends:  # one may have been started meanwhile
        time.sleep(_LOOK_SECONDS)


def _kill_members(leader: int) -> bool:
    """Kill the members, and return whether there was one that still ran."""
    killed = False
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):  # it has ended, or is another's
            if pid == os.getpid() or os.getsid(pid) != leader:
                continue
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                killed = True
    return killed
