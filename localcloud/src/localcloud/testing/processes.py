"""What tests ask of processes."""

from __future__ import annotations

import psutil


def is_running(pid: int) -> bool:
    """Return whether a process runs. One that has ended may be there until its parent, which may be init, looks at it.

    Args:
        pid: The id of the process.
    """
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
