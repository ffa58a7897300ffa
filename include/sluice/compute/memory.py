"""How much memory a child process and its own processes hold, as the limit of a function or a task counts it.

A limit counts a page once, however many processes share it, as forked ones do. A service has a figure of its own: the
control group of a task on Fargate, and the report of a function. The former counts the cache of files as well, which
is given up under pressure; the latter comes after the end. So it is counted here.

Source: Linux, proc_pid_smaps(5): Pss divides a page by the number of the processes that share it; proc_pid_status(5):
VmHWM is the peak of what was resident.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024  # a MiB, in the unit of /proc
_PROC = Path("/proc")
_DOUBLE = struct.Struct("d")


@dataclass(frozen=True)
class Held:
    """The memory that some processes hold, in MiB: ``now``, and ``peak``, which is at least the most until now.

    The peak is as if all of them had been at their own peaks at the same time.
    """

    now: float = 0.0
    peak: float = 0.0


def held_by_group(leader: int) -> Held:
    """Return the memory that the processes of a group hold; nothing once the leader has ended.

    What the leader shares with this process, its parent, counts as the leader's.

    Args:
        leader: The process that leads the group, a child of this process. What has left the group is not counted.
    """
    group = list(_group(leader))
    if leader not in group:
        return Held()
    if group == [leader]:  # to count pages takes milliseconds, and nobody else shares them
        fields = _fields(leader, "status")
        return Held(fields.get("VmRSS", 0) / _KIB, fields.get("VmHWM", 0) / _KIB)
    own = _fields(os.getpid(), "smaps_rollup")
    shared = own.get("Pss", 0) - own.get("Private_Clean", 0) - own.get("Private_Dirty", 0)
    counted = [_counted(each) for each in group]
    now, before = shared + sum(now for now, _ in counted), sum(before for _, before in counted)
    return Held(now / _KIB, (now + before) / _KIB)


def _counted(process: int) -> tuple[int, int]:
    """Return what a process holds, each page shared out, and how much more was resident at its peak, in KiB."""
    status, pages = _fields(process, "status"), _fields(process, "smaps_rollup")
    resident = status.get("VmRSS", 0)
    # Not each sandbox counts pages; then those that are shared count for each process.
    return pages.get("Pss", resident), max(0, status.get("VmHWM", 0) - resident)


class Peak:
    """The most memory until now, in MiB. A process that is forked later reads what its parent notes."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _DOUBLE.size)

    @property
    def mb(self) -> float:
        """What was noted last."""
        peak: float = _DOUBLE.unpack(self._shared[:])[0]
        return peak

    def note(self, mb: float) -> None:
        """Note a peak, unless a higher one was noted.

        Args:
            mb: The peak, in MiB.
        """
        self._shared[:] = _DOUBLE.pack(max(mb, self.mb))


def _group(leader: int) -> Iterator[int]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and _group_of(int(folder.name)) == leader:
            yield int(folder.name)


def _group_of(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return None  # it has ended


def _fields(process: int, file: str) -> dict[str, int]:
    """Return the sizes in a file of a process, in KiB; none if it has ended."""
    try:
        lines = (_PROC / str(process) / file).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return dict(_sizes(lines))


def _sizes(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            yield name, int(value.split()[0])
