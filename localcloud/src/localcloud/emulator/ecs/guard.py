"""The process that guards a container: it limits its memory, stops it, and ends all of its processes.

It is the container's first process, as far as a container needs one: what its children leave behind becomes its child,
and nothing survives it. It ends with the cloud, as its standard input is a pipe of the cloud's.

    python -m localcloud.emulator.ecs.guard DESCRIPTOR

Standard input has the container as JSON, and later ``{"stop": SECONDS}``, one line each. The descriptor gets
reports, one line each: ``{"pid": …}`` or ``{"fault": …}`` at the start, ``{"code": …, "out_of_memory": …}`` at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from localcloud.confinement import confine
from localcloud.memory import held

_LOOK_SECONDS = 0.05
_END_SECONDS = 10.0
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
_KILLED = 128 + signal.SIGKILL
_LINUX = sys.platform == "linux"
_SYSTEM = ctypes.CDLL(None)


class _Tree:
    """The processes below this one. Each process of the machine is looked at once only, as they are seen often."""

    def __init__(self) -> None:
        self._seen: dict[int, psutil.Process | None] = {os.getpid(): psutil.Process()}  # None if it is not of the tree

    def members(self) -> Iterator[psutil.Process]:
        """Yield all processes of the tree but this one."""
        alive = psutil.pids()
        self._seen = {pid: self._seen[pid] for pid in alive if pid in self._seen}
        for pid in alive:
            with contextlib.suppress(psutil.NoSuchProcess):  # its parent may have just ended: it is looked at again
                self._look_at(pid)
        yield from (process for pid, process in self._seen.items() if process is not None and pid != os.getpid())

    def _look_at(self, pid: int) -> psutil.Process | None:
        if pid not in self._seen:
            process = psutil.Process(pid)
            parent = process.ppid()
            self._seen[pid] = process if parent and self._look_at(parent) is not None else None
        return self._seen[pid]

    def kill(self) -> bool:
        """Kill all processes, and return whether there were any that still ran."""
        killed = False
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    killed = True
        return killed


class _Guard:
    def __init__(self, container: dict[str, Any], main: subprocess.Popen[bytes]) -> None:
        self._main = main
        self._memory_bytes = container["memory_bytes"]
        self._tree = _Tree()
        self._kill_at = float("inf")  # on the monotonic clock
        self._input = b""

    def run(self) -> dict[str, Any]:
        """Guard the container to its end, and return the report of it."""
        out_of_memory = False
        with selectors.DefaultSelector() as selector, _woken_by_children() as woken:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while (code := self._reaped()) is None:
                for key, _ in selector.select(_LOOK_SECONDS):
                    if key.fileobj is woken:
                        woken.recv(4096)
                    elif data := os.read(sys.stdin.fileno(), 4096):
                        self._obey(data)
                    else:
                        selector.unregister(sys.stdin.fileno())
                        self._kill_at = 0.0
                if held(self._tree.members(), self._memory_bytes) > self._memory_bytes:
                    out_of_memory = True
                if out_of_memory or time.monotonic() > self._kill_at:
                    self._tree.kill()
        self._end_rest()
        return {"code": _KILLED if out_of_memory else code, "out_of_memory": out_of_memory}

    def _obey(self, data: bytes) -> None:
        self._input += data
        while b"\n" in self._input:
            line, _, self._input = self._input.partition(b"\n")
            self._kill_at = min(self._kill_at, time.monotonic() + json.loads(line)["stop"])
            self._main.send_signal(signal.SIGTERM)

    def _reaped(self) -> int | None:
        """Reap all children that have ended, and return the exit code of the container's process; None if it runs."""
        code = None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._main.pid:
                    self._main.returncode = os.waitstatus_to_exitcode(status)  # so that no signal is sent to its pid
                    code = self._main.returncode
        return code if code is None or code >= 0 else 128 - code

    def _end_rest(self) -> None:
        """End what the container's process left behind, as the end of a container does."""
        ends = time.monotonic() + _END_SECONDS
        while self._tree.kill() and time.monotonic() < ends:
            time.sleep(0.005)
            self._reaped()


@contextlib.contextmanager
def _woken_by_children() -> Iterator[socket.socket]:
    """Yield a socket that can be read when a child has ended."""
    woken, wakes = socket.socketpair()
    with woken, wakes:
        for end in (woken, wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        wakes.send(b"\0")  # a child may have ended before
        yield woken
        signal.set_wakeup_fd(-1)


def _end_with_guard() -> None:
    if _LINUX:
        _SYSTEM.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _started(container: dict[str, Any], scratch: Path) -> subprocess.Popen[bytes]:
    if _LINUX:
        _SYSTEM.prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
        if container["cores"]:
            os.sched_setaffinity(0, container["cores"])
    os.nice(5)  # the cloud answers the container's requests
    confine(scratch, [*map(Path, container["code"])], network=True)
    return subprocess.Popen(
        container["command"],
        cwd=scratch,
        env=container["environment"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_guard,
    )


def main() -> None:
    """Run the container to its end."""
    with open(int(sys.argv[1]), "w", buffering=1) as reports:
        os.set_inheritable(reports.fileno(), False)
        container = json.loads(_first_line())
        if not container["command"]:
            reports.write(json.dumps({"fault": "no command specified"}) + "\n")
            return
        try:
            started = _started(container, Path(container["scratch"]))
        except OSError as error:
            reports.write(json.dumps({"fault": f"{container['command'][0]}: {error.strerror}"}) + "\n")
            return
        reports.write(json.dumps({"pid": started.pid}) + "\n")
        reports.write(json.dumps(_Guard(container, started).run()) + "\n")


def _first_line() -> bytes:
    """Read one line, and nothing after it."""
    line = b""
    while not line.endswith(b"\n") and (more := os.read(sys.stdin.fileno(), 1)):
        line += more
    return line


if __name__ == "__main__":
    main()
