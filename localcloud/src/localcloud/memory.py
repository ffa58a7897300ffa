"""How much memory processes hold, as the limit of a container counts it: a page that they share counts once.

Source: Linux, "Control Group v2", memory: a page is charged once; proc(5), smaps_rollup (Pss).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil


def held(processes: Iterable[psutil.Process], limit: int) -> int:
    """Return how many bytes of memory some processes hold together.

    A process that was forked shares most pages with its parent. To count them once takes milliseconds, so that is done
    only if the processes seem to exceed their limit.

    Args:
        processes: The processes; one that has ended holds nothing.
        limit: What they may hold, in bytes.
    """
    alive = list(processes)
    resident = sum(_bytes(process, shared_once=False) for process in alive)
    return resident if resident <= limit else sum(_bytes(process, shared_once=True) for process in alive)


def _bytes(process: psutil.Process, *, shared_once: bool) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        return int(process.memory_full_info().pss if shared_once else process.memory_info().rss)
    return 0
