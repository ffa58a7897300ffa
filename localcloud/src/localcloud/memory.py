"""How much memory processes hold, as the limit of a container counts it: a page that they share counts once.

Source: Linux, "Control Group v2", memory: a page is charged once; proc(5): smaps_rollup (Rss, Pss), status (VmHWM).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil


def held(processes: Iterable[psutil.Process], limit: int) -> int:
    """Return how many bytes of memory some processes hold together, at the peak of each.

    A process that was forked shares most pages with its parent. To count them once takes milliseconds, so that is done
    only if the processes seem to exceed their limit.

    Args:
        processes: The processes; one that has ended holds nothing.
        limit: What they may hold, in bytes.
    """
    pids = [process.pid for process in processes]
    peak = sum(_peak(pid) for pid in pids)
    return peak if peak <= limit else sum(max(0, _peak(pid) - _shared(pid)) for pid in pids)


def _peak(pid: int) -> int:
    """Return the most that a process has held, in bytes: a peak between two looks counts as well."""
    return _sizes(pid, "status").get("VmHWM", 0)


def _shared(pid: int) -> int:
    """Return what others hold of the pages of a process, in bytes. Both sizes come from one walk through its pages."""
    sizes = _sizes(pid, "smaps_rollup")
    return sizes.get("Rss", 0) - sizes.get("Pss", 0)


def _sizes(pid: int, file: str) -> dict[str, int]:
    """Return the sizes in a file of ``/proc``, in bytes by their names; none if the process has ended."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in Path(f"/proc/{pid}/{file}").read_text().splitlines())
        return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}
    return {}
