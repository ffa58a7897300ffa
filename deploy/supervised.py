"""The programs of deploy/supervisord.conf: starting them in order, asking how they are, stopping all of them.

What is started belongs to the session of one supervisord: by that session, and by nothing else, `stop` knows what is
ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".sluice" / "airflow" / "logs"

_CONFIG = ROOT / "deploy" / "supervisord.conf"
_PID = ROOT / ".sluice" / "supervisord.pid"
_SOCKET = ROOT / ".sluice" / "supervisor.sock"
_LONGEST_SOCKET = 95  # bytes: a Unix socket's name has 103 at most (macOS), and supervisord adds its process id to it
_LONGEST_COMMAND = 120
_LONGEST_STOP = 120
_LONGEST_GOODBYE = 10


class SupervisorError(Exception):
    """What went wrong, where, and the next action, in one line."""


def is_running() -> bool:
    """Whether the supervisord of this checkout runs."""
    return _supervisor() is not None


def start_supervisor() -> None:
    """Starts supervisord alone; its programs wait for `start`.

    Raises:
        SupervisorError: it can't be started.
    """
    if (excess := len(os.fsencode(_SOCKET)) - _LONGEST_SOCKET) > 0:
        raise SupervisorError(
            f"the path of {ROOT} is {excess} bytes too long for a Unix socket in it; move the checkout"
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    done = _supervisor_command("supervisor.supervisord")
    if done.returncode:
        raise SupervisorError(f"supervisord can't be started: {(done.stderr or done.stdout).strip()}")


def start(*names: str) -> None:
    """Starts the programs that don't run yet; supervisord starts them again if they end by themselves.

    Raises:
        SupervisorError: a program ended as soon as it was started; its log has the reason.
    """
    states = _states()
    if missing := [name for name in names if states.get(name) not in ("RUNNING", "STARTING", "BACKOFF")]:
        _supervisor_command("supervisor.supervisorctl", "start", *missing)
        require_started(*names)


def require_started(*names: str) -> None:
    """Raises SupervisorError if supervisord has given up on one of the programs."""
    states = _states()
    for name in names:
        if states.get(name) in ("FATAL", "STOPPED", "EXITED"):
            raise SupervisorError(f"{name} can't be started: {_last_line(name)} (see {log_of(name)})")


def log_of(name: str) -> Path:
    """The program's log, as a path from the root of the checkout."""
    return (LOGS / f"{name}.log").relative_to(ROOT)


def stop() -> bool:
    """Stops supervisord and its programs, in order, and whatever outlived an earlier one. True if anything ran."""
    leader = _leader()  # supervisord removes its record when it stops, and what it started may outlive it
    ran = bool(_session(leader))
    if supervisor := _supervisor():
        supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=_LONGEST_STOP)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        left = _session(leader)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(left, timeout=_LONGEST_GOODBYE)
    return ran


def _states() -> dict[str, str]:
    """The state of each program: RUNNING, STARTING, BACKOFF, STOPPED, EXITED or FATAL."""
    status = _supervisor_command("supervisor.supervisorctl", "status")
    lines = [line.split() for line in status.stdout.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1}


def _last_line(name: str) -> str:
    log = ROOT / log_of(name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip() if lines else "it wrote nothing"


def _supervisor_command(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, "-c", str(_CONFIG), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_COMMAND)


def _supervisor() -> psutil.Process | None:
    leader = _leader()
    return next((process for process in _session(leader) if process.pid == leader), None)


def _leader() -> int | None:
    """The process id of the supervisord that was started last, which may be gone; None after an orderly stop."""
    record = _PID.read_text().strip() if _PID.exists() else ""
    return int(record) if record else None


def _session(leader: int | None) -> list[psutil.Process]:
    """Supervisord and all that it started, even where a parent died: they share the session that it began.

    They also share the checkout, or PostgreSQL's data folder in it, as working directory; a number that the system
    gave to someone else since is thereby not taken for theirs.
    """
    return [process for process in psutil.process_iter() if leader is not None and _belongs(process, leader)]


def _belongs(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and Path(process.cwd()).is_relative_to(ROOT)
    except (psutil.Error, OSError):  # gone meanwhile, or somebody else's
        return False
