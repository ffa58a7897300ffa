"""How much memory processes hold, as the limit of a container counts it: a page that they share counts once.

Source: Linux, "Control Group v2", memory: a page is charged once; proc(5): smaps_rollup (Pss), status (VmHWM).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil

_PEAK = "VmHWM:"


def held(processes: Iterable[psutil.Process], limit: int) -> int:
    """Return how many bytes of memory some processes hold together, at the peak of each.

    A process that was forked shares most pages with its parent. To count them once takes milliseconds, so that is done
    only if the processes seem to exceed their limit.

    Args:
        processes: The processes; one that has ended holds nothing.
        limit: What they may hold, in bytes.
    """
    alive = list(processes)
    peak = sum(_peak(process, shared_once=False) for process in alive)
    return peak if peak <= limit else sum(_peak(process, shared_once=True) for process in alive)


def _peak(process: psutil.Process, *, shared_once: bool) -> int:
    """Return what a process holds, and what it has held beyond that: a peak between two looks counts as well."""
    with contextlib.suppress(psutil.Error, OSError):
        resident = int(process.memory_info().rss)
        holds = int(process.memory_full_info().pss) if shared_once else resident
        return holds + max(0, _most_resident(process) - resident)
    return 0


def _most_resident(process: psutil.Process) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(_PEAK)), 0)
