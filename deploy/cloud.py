"""Runs the embedded cloud by its command line."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_LONGEST_STATUS = 60  # seconds, like the other
_LONGEST_CHANGE = 300  # for all of it to start or to stop
_PORT_OF = {"emulator": "LOCALCLOUD_PORT", "sagemaker": "LOCALCLOUD_SAGEMAKER_PORT"}


class CloudFailed(Exception):
    """The embedded cloud did not start or stop. The message has the reason, in one line."""


@dataclass(frozen=True)
class CloudStatus:
    """Whether all services are healthy, and which variables set the ports of those that don't run."""

    healthy: bool
    missing_ports: tuple[str, ...]


def cloud_status() -> CloudStatus:
    """Return the present status of the embedded cloud."""
    done = subprocess.run(_command("status"), cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_STATUS)
    missing = [line.split()[0] for line in done.stdout.splitlines() if "not running" in line]
    return CloudStatus(done.returncode == 0, tuple(_PORT_OF[name] for name in missing))


def start_cloud(*, quiet: bool = False) -> None:
    """Start those services of the embedded cloud that don't run, and wait until all are healthy.

    Args:
        quiet: Print nothing.

    Raises:
        CloudFailed: it could not be started.
    """
    _change("up", quiet)


def stop_cloud(*, quiet: bool = False) -> None:
    """Stop the services of the embedded cloud that run.

    Args:
        quiet: Print nothing.

    Raises:
        CloudFailed: it could not be stopped.
    """
    _change("down", quiet)


def _change(verb: str, quiet: bool) -> None:
    command = _command(verb)
    output = subprocess.PIPE if quiet else None
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, text=True, timeout=_LONGEST_CHANGE)
    except subprocess.TimeoutExpired as error:
        raise CloudFailed(f"`{' '.join(command)}` was not done after {_LONGEST_CHANGE} s and was ended") from error
    if done.returncode:
        reason = (done.stderr or done.stdout or "see above").strip()
        raise CloudFailed(f"`{' '.join(command)}` failed with status {done.returncode}: {reason}")


def _command(verb: str) -> list[str]:
    """Return the command line of ``up``, ``down`` or ``status``, which runs in the root of the checkout."""
    return [str(ROOT / ".venv-cloud" / "bin" / "python"), "-m", "localcloud", verb]
