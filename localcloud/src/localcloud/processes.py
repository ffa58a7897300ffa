"""Starts, recognises and stops the child processes.

A process is recognised by its pid, its start time and its command, so that a recycled pid is never taken for ours.
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

_STOP_SECONDS = 30.0  # the stand-in ends its jobs and deployments, and uploads their output
_LOOK_SECONDS = 0.02
_HEALTH_SECONDS = 2.0
_CLOCK_SECONDS = 2.0  # by how much the start time that the system reports may drift


class CloudError(Exception):
    """A failure; the message is one line with what failed, where, and what to do next."""


@dataclass(frozen=True)
class Record:
    """What is recorded of a process at its start; ``started`` is in seconds since the epoch."""

    pid: int
    started: float
    command: list[str]
    port: int


def spawn(service: Service) -> psutil.Process:
    """Start the service in a session of its own, and record it."""
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
    """Return the record of the service's last start; None if it was stopped since."""
    try:
        return Record(**json.loads(service.record.read_text()))
    except FileNotFoundError:
        return None


def running(service: Service) -> psutil.Process | None:
    """Return the recorded process; None if it has ended, or if its pid belongs to another process now."""
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
    """Return whether the process has no command line yet, as just after its start; a zombie has none either."""
    return not process.cmdline() and process.status() != psutil.STATUS_ZOMBIE


def stop(service: Service, process: psutil.Process) -> None:
    """End the process by SIGTERM, or by SIGKILL if it needs longer than 30 seconds, and remove its record.

    Args:
        service: The service.
        process: Its process, as `running` returns it.

    Raises:
        CloudError: The process survives SIGKILL.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        if not _ends(process):
            process.kill()
            if not _ends(process):
                raise CloudError(f"{service.name} (pid {process.pid}) can't be killed; see what it waits for")
    service.record.unlink(missing_ok=True)


def _ends(process: psutil.Process) -> bool:
    """Return whether the process ends in time.

    A zombie has ended; its parent, which may be any process in a container, may reap it late or never.
    """
    deadline = time.monotonic() + _STOP_SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(0)  # reaps it if it is a child of this process
    return True


def healthy(service: Service) -> bool:
    """Return whether the service answers its health path with status 200."""
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
