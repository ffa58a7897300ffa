"""What a child process may touch: its own folder, and of the machine what it needs to run.

Linux enforces it by Landlock (https://docs.kernel.org/userspace-api/landlock.html), which needs no privileges. Without
Landlock, as on other systems, only the checks of paths and archives protect the machine.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# The numbers are those of <linux/landlock.h>; the system calls have the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_SET_NO_NEW_PRIVILEGES = 38  # <linux/prctl.h>
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by the version that adds them
_TCP_RIGHTS = {4: 0b11}  # bind and connect

_READABLE = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/opt")
OWN_CODE = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[1])
"""The folders of this interpreter, its libraries and this package."""


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64))


class _PathBeneathAttributes(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def confine(folder: Path, code: Iterable[Path], *, network: bool) -> bool:
    """Deny this thread, and what it starts from now on, all other files, and the network unless it is allowed.

    It may still read the system's programs and settings, and use the devices.

    Args:
        folder: The folder that it may still read and write.
        code: The folders that it may still read, of its interpreter and what it imports.
        network: Whether it may still use the network.

    Returns:
        Whether the kernel enforces it.

    Raises:
        OSError: The kernel has Landlock but refuses.
    """
    if sys.platform != "linux":
        return False
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    every = _newest(_FILE_RIGHTS, version)
    wanted = _RulesetAttributes(every, 0 if network else _newest(_TCP_RIGHTS, version))
    size = ctypes.sizeof(wanted) if version >= min(_TCP_RIGHTS) else ctypes.sizeof(ctypes.c_uint64)
    ruleset = _checked(system.syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), 0))
    try:
        reading, writing = _EXECUTE | _READ | _LIST, every & ~_EXECUTE
        devices = writing & (_READ | _WRITE | _LIST | _TRUNCATE | (1 << 5) | (1 << 8))
        for path in _existing((*_READABLE, *code)):
            _allow(system, ruleset, path, reading)
        _allow(system, ruleset, Path("/dev"), devices)
        _allow(system, ruleset, folder, writing)
        _checked(system.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(system.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def limit(volume_bytes: int, memory_bytes: int) -> None:
    """Limit what this process takes of the machine; it also writes no core dumps, and yields the CPU to the stand-in.

    Args:
        volume_bytes: The largest size of a file.
        memory_bytes: The largest size of the data segment.
    """
    for kind, most in (
        (resource.RLIMIT_FSIZE, volume_bytes),
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, hard))
    os.nice(5)


def _newest(rights: dict[int, int], version: int) -> int:
    return next((rights[since] for since in sorted(rights, reverse=True) if since <= version), 0)


def _existing(paths: Iterable[str | Path]) -> Iterator[Path]:
    return (Path(path) for path in paths if Path(path).is_dir())


def _allow(system: ctypes.CDLL, ruleset: int, folder: Path, rights: int) -> None:
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        rule = _PathBeneathAttributes(rights, handle)
        _checked(system.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(handle)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
