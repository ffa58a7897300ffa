"""Starting, recognising and stopping the child processes.

A process is known by its pid and its start time, so that a recycled pid is never taken for ours.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from localcloud.errors import CloudError
from localcloud.services import Service
from localcloud.settings import HOST

_STOP_SECONDS = 30.0  # the emulator writes all of its state before it ends
_HEALTH_SECONDS = 2.0


def spawn(service: Service) -> psutil.Popen:
    """Start the service in a session of its own and record it.

    Raises:
        CloudError: its port is taken.
    """
    _require_free_port(service)
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
    record = {"pid": child.pid, "started": child.create_time(), "port": service.port}
    service.record.write_text(json.dumps(record))
    return child


def running(service: Service) -> psutil.Process | None:
    """The recorded process, if it still is the one that was started."""
    try:
        record = json.loads(service.record.read_text())
        process = psutil.Process(record["pid"])
        if process.create_time() != record["started"] or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return process


def recorded_port(service: Service) -> int:
    """The port that the recorded process was started with."""
    return int(json.loads(service.record.read_text())["port"])


def stop(service: Service, process: psutil.Process) -> None:
    """SIGTERM, a bounded wait in which state is written, then SIGKILL; and forget the record."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(timeout=_STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout=_STOP_SECONDS)
    service.record.unlink(missing_ok=True)


def healthy(service: Service) -> bool:
    """Whether the service answers its health path with success."""
    try:
        with urllib.request.urlopen(service.health_url, timeout=_HEALTH_SECONDS) as answer:  # noqa: S310 our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _require_free_port(service: Service) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, service.port))
        except OSError as error:
            raise CloudError(
                f"{service.name}: port {service.port} on {HOST} is taken ({error.strerror}); "
                f"free it, or choose another with {service.port_option}"
            ) from error
