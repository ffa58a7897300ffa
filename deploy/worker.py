"""Runs one Celery worker as if it had a machine of its own: ``python -m deploy.worker NUMBER``.

The worker gets a network namespace without any network, and a host name of its own. The relay connects it with the
services of this machine. Where namespaces are not allowed, its host name is a loopback address of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_WORKERS = 8  # deploy/celery.conf has as many

_LOOPBACK_UP = ("ip", "link", "set", "lo", "up")
_LONGEST_COMMAND = 30  # seconds
_ADDRESS = "SLUICE_WORKER_ADDRESS"


def name_of(number: int) -> str:
    """Return Celery's name of a worker.

    Args:
        number: The number of the worker, from 1 on.
    """
    return f"celery@worker-{number}"


def own_address() -> str:
    """Return the worker's loopback address, which Airflow takes for the name of its host."""
    return os.environ[_ADDRESS]


def become(number: int, *, inside: bool = False) -> None:
    """Replace this process by the worker.

    Args:
        number: The number of the worker, from 1 on.
        inside: Whether this process is in the namespace already.
    """
    airflow = str(Path(sys.executable).with_name("airflow"))
    worker = [airflow, "celery", "worker", "--skip-serve-logs", "--celery-hostname", name_of(number)]
    if inside:
        socket.sethostname(f"worker-{number}")
        subprocess.run(_LOOPBACK_UP, check=True, timeout=_LONGEST_COMMAND)
        _exec(sys.executable, "deploy/relay.py", "in", ".sluice/relay", os.environ["RELAYED_PORTS"], *worker)
    elif namespace := _namespace():
        _exec(*namespace, sys.executable, "-m", "deploy.worker", str(number), "inside")
    os.environ["AIRFLOW__CORE__HOSTNAME_CALLABLE"] = "deploy.worker.own_address"
    os.environ["PYTHONPATH"] = f"{os.environ.get('PYTHONPATH', '')}:{ROOT}"
    os.environ[_ADDRESS] = f"127.0.0.{10 + number}"
    _exec(*worker)


def _namespace() -> list[str]:
    """Return the command that runs a program in namespaces of its own; empty if this machine does not allow it."""
    command = ["unshare", "--net", "--uts", *(["--map-root-user"] if os.geteuid() else [])]
    try:
        done = subprocess.run([*command, *_LOOPBACK_UP], capture_output=True, timeout=_LONGEST_COMMAND)
    except FileNotFoundError:
        return []
    return [] if done.returncode else command


def _exec(*command: str) -> None:
    os.execvp(command[0], command)  # noqa: S606 - supervisord's child becomes the worker, so that signals reach it


if __name__ == "__main__":
    become(int(sys.argv[1]), inside=sys.argv[2:] == ["inside"])
