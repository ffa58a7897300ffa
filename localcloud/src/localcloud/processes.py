"""Starting, recognising and stopping the child processes.

A process is known by its pid, its start time and its command, so that a recycled pid is never taken for ours.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from localcloud.services import Service
from localcloud.settings import HOST

_STOP_SECONDS = 30.0  # the stand-in ends its jobs and deployments, and uploads what they leave
_LOOK_SECONDS = 0.02
_HEALTH_SECONDS = 2.0
_CLOCK_SECONDS = 2.0  # how far the start time that the system tells may wander


class CloudError(Exception):
    """One line that says what failed, where, and what to do next."""


@dataclass(frozen=True)
class Record:
    """What is written down of a process when it is started; ``started`` in seconds since the epoch."""

    pid: int
    started: float
    command: list[str]
    port: int


def spawn(service: Service) -> psutil.Process:
    """Start the service in a session of its own and record it."""
    service.log.parent.mkdir(parents=True, exist_ok=True)
    Path(service.environment["TMPDIR"]).mkdir(parents=True, exist_ok=True)
    with service.log.open("ab") as log:
        child = psutil.Popen(
            service.command,
            env=dict(service.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = Record(child.pid, child.create_time(), list(service.command), service.port)
    unfinished = service.record.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(record)))
    unfinished.replace(service.record)
    return child


def recorded(service: Service) -> Record | None:
    """What was written down when the service was last started, unless it was stopped since."""
    try:
        return Record(**json.loads(service.record.read_text()))
    except FileNotFoundError:
        return None


def running(service: Service) -> psutil.Process | None:
    """The recorded process, if it still is the one that was started."""
    record = recorded(service)
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        ours = abs(process.create_time() - record.started) <= _CLOCK_SECONDS and (
            process.cmdline() == record.command or _is_starting(process)
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if ours else None


def _is_starting(process: psutil.Process) -> bool:
    """For a moment after it was started a process has no command line; a zombie has none any more."""
    return not process.cmdline() and process.status() != psutil.STATUS_ZOMBIE


def stop(service: Service, process: psutil.Process) -> None:
    """SIGTERM, a bounded wait in which state is written, then SIGKILL; and forget the record.

    Raises:
        CloudError: the process outlives SIGKILL.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        if not _ends(process):
            process.kill()
            if not _ends(process):
                raise CloudError(f"{service.name} (pid {process.pid}) can't be killed; see what it waits for")
    service.record.unlink(missing_ok=True)


def _ends(process: psutil.Process) -> bool:
    """Whether the process ends in time.

    A zombie has ended: when it is buried is up to its parent, which in a container may do it late or never.
    """
    deadline = time.monotonic() + _STOP_SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(0)  # which buries a child of our own
    return True


def healthy(service: Service) -> bool:
    """Whether the service answers its health path with success."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(service.health_url, timeout=_HEALTH_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def require_free_port(service: Service) -> None:
    """Raise CloudError if something else listens on the service's port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, service.port))
        except OSError as error:
            raise CloudError(
                f"{service.name}: port {service.port} on {HOST} is taken ({error.strerror}); "
                f"free it, or choose another with {service.port_option}"
            ) from error
