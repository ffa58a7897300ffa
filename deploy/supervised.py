"""Starts, probes and stops the programs of deploy/supervisord.conf, and of deploy/celery.conf with Celery.

All of them belong to the session of one supervisord. `stop` finds them by that session.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from deploy import workers

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".sluice" / "airflow" / "logs"

_CONFIG = ROOT / "deploy" / "supervisord.conf"
_CELERY_CONFIG = ROOT / "deploy" / "celery.conf"
_PID = ROOT / ".sluice" / "supervisord.pid"
_SOCKET = ROOT / ".sluice" / "supervisor.sock"
_LONGEST_SOCKET = 95  # bytes: a Unix socket's name has 103 at most (macOS), and supervisord adds its process id to it
_LONGEST_COMMAND = 120  # seconds, like the others
_LONGEST_STOP = 120
_LONGEST_TERMINATION = 10


class SupervisorError(Exception):
    """A program can't be started. The message is one line: what failed, where, and the next action."""


def is_running() -> bool:
    """Return whether supervisord runs for this checkout."""
    return _supervisor() is not None


def start_supervisor() -> None:
    """Start supervisord without its programs, which :func:`start` starts.

    Raises:
        SupervisorError: it can't be started.
    """
    if (excess := len(os.fsencode(_SOCKET)) - _LONGEST_SOCKET) > 0:
        raise SupervisorError(
            f"the path of {ROOT} is {excess} bytes too long for a Unix socket in it; move the checkout"
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    config = _CELERY_CONFIG if workers.uses_celery(os.environ) else _CONFIG
    done = _run("supervisor.supervisord", "-c", str(config))
    if done.returncode:
        raise SupervisorError(f"supervisord can't be started: {(done.stderr or done.stdout).strip()}")


def start(*names: str) -> None:
    """Start those of the programs that don't run. If one ends by itself, supervisord starts it again.

    Args:
        names: The programs, as supervisord.conf calls them.

    Raises:
        SupervisorError: a program ended as soon as it was started; its log has the reason.
    """
    states = _states()
    if missing := [name for name in names if states.get(name) not in ("RUNNING", "STARTING", "BACKOFF")]:
        _control("start", *missing)
        require_started(*names)


def require_started(*names: str) -> None:
    """Require that supervisord has not given up on any of the programs.

    Args:
        names: The programs, as supervisord.conf calls them.

    Raises:
        SupervisorError: it has; the message has the last line of the program's log.
    """
    states = _states()
    for name in names:
        if states.get(name) in ("FATAL", "STOPPED", "EXITED"):
            raise SupervisorError(f"{name} can't be started: {_last_line(name)} (see {log_of(name)})")


def log_of(name: str) -> Path:
    """Return the path of a program's log, relative to the root of the checkout."""
    return (LOGS / f"{name.rpartition(':')[2]}.log").relative_to(ROOT)


def stop() -> bool:
    """Stop supervisord and its programs, in order. Also stop programs that outlived an earlier supervisord.

    Returns:
        Whether anything ran.
    """
    leader = _leader()  # supervisord removes its pid file when it stops, but its programs may outlive it
    ran = bool(_session(leader))
    if supervisor := _supervisor():
        supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=_LONGEST_STOP)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        left = _session(leader)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(left, timeout=_LONGEST_TERMINATION)
    return ran


def _states() -> dict[str, str]:
    """Return the state of each program: RUNNING, STARTING, BACKOFF, STOPPED, EXITED or FATAL."""
    status = _control("status")
    lines = [line.split() for line in status.stdout.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1}


def _last_line(name: str) -> str:
    log = ROOT / log_of(name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip() if lines else "it wrote nothing"


def _control(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Tell the running supervisord something. It knows what it includes; supervisorctl reads no include."""
    return _run("supervisor.supervisorctl", "-c", str(_CONFIG), *arguments)


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_COMMAND)


def _supervisor() -> psutil.Process | None:
    leader = _leader()
    return next((process for process in _session(leader) if process.pid == leader), None)


def _leader() -> int | None:
    """Return the process id of the latest supervisord, which may have ended; None after an orderly stop."""
    record = _PID.read_text().strip() if _PID.exists() else ""
    return int(record) if record else None


def _session(leader: int | None) -> list[psutil.Process]:
    """Return supervisord and all its descendants. They are in its session, even if their parents have ended.

    Their working directory is in the checkout. This excludes a process of another program that has got the same number
    since.
    """
    return [process for process in psutil.process_iter() if leader is not None and _belongs(process, leader)]


def _belongs(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and Path(process.cwd()).is_relative_to(ROOT)
    except (psutil.Error, OSError):  # it has ended, or it belongs to another user
        return False
