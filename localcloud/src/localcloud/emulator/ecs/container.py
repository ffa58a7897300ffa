"""A container's process, started by a process that guards it (:mod:`localcloud.emulator.ecs.guard`)."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

_GUARD = "localcloud.emulator.ecs.guard"
_PACKAGES = Path(__file__).resolve().parents[3]
_KILLED = 128 + signal.SIGKILL
_START_SECONDS = 60.0
_END_SECONDS = 15.0  # longer than the guard needs to end all processes


@dataclass(frozen=True)
class Container:
    """What is run, and what it may use.

    Attributes:
        command: The program, which is looked for in the PATH of the environment, and its arguments.
        environment: All environment variables.
        scratch: The working directory, the only folder that it may write.
        code: The folders of its interpreter and of what it imports, which it may read.
        memory_bytes: The resident memory at which it is killed.
        cores: The cores that it runs on; empty for all.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    scratch: Path
    code: tuple[Path, ...]
    memory_bytes: int
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Exit:
    """How a container has ended.

    Attributes:
        code: The exit code, of a signal 128 and its number, as Docker has it; None if it could not be started.
        out_of_memory: Whether it was killed because of its memory.
        fault: Why it could not be started; None if it was.
    """

    code: int | None
    out_of_memory: bool = False
    fault: str | None = None


class RunningContainer:
    """A container's process, from its start to its end. The thread that starts it has to stay alive until then."""

    def __init__(self, container: Container) -> None:
        reports, reports_of_guard = os.pipe()
        with open(reports_of_guard, "wb", buffering=0):
            self._guard = subprocess.Popen(
                [sys.executable, "-P", "-m", _GUARD, str(reports_of_guard)],
                cwd=container.scratch,
                env={"PYTHONPATH": str(_PACKAGES), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,  # closes when this process ends, which ends the container
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reports_of_guard,),
                start_new_session=True,
            )
        self._reports = open(reports, "rb", buffering=0)  # noqa: SIM115 closed by `close`
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reports, selectors.EVENT_READ)
        self._pid: int | None = None  # of the container's process, which leads a group
        self._tell({**asdict(container), "scratch": str(container.scratch), "code": [*map(str, container.code)]})

    @property
    def output(self) -> IO[bytes]:
        """The output and errors of the container, which end when all of its processes have."""
        assert self._guard.stdout is not None  # noqa: S101 it is a pipe
        return self._guard.stdout

    def started(self) -> Exit | None:
        """Wait until the container runs; return how it has ended if it can't be started."""
        if not self._selector.select(_START_SECONDS):
            return Exit(None, fault=f"it didn't start in {_START_SECONDS:g} s")
        report = self._report()
        self._pid = report.get("pid")
        return None if self._pid else Exit(None, fault=report.get("fault", "its guard has ended"))

    def wait(self, seconds: float) -> Exit | None:
        """Return how the container has ended; None if it has not within some seconds."""
        if not self._selector.select(seconds):
            return None
        report = self._report()
        if not report and self._pid:  # the guard was killed, and the container's process with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        return Exit(report.get("code", _KILLED), report.get("out_of_memory", False))

    def stop(self, grace: int) -> None:
        """Send SIGTERM to the container's process, and SIGKILL to all of its processes some seconds later."""
        self._tell({"stop": grace})

    def close(self) -> None:
        """End all that is left of it."""
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
        try:
            self._guard.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait(_END_SECONDS)
        self._selector.close()
        self._reports.close()

    def _tell(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the guard has ended, which `wait` reports
            self._guard.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]  # it is a pipe
            self._guard.stdin.flush()  # type: ignore[union-attr]

    def _report(self) -> dict[str, Any]:
        """Return the next report of the guard; an empty one if it has ended without one."""
        line = b""
        while not line.endswith(b"\n") and (more := self._reports.read(1)):
            line += more
        report: dict[str, Any] = json.loads(line or b"{}")
        return report
