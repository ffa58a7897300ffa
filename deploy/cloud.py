"""Runs the embedded cloud by its command line."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_LONGEST_STATUS = 60  # seconds
_PORT_OF = {"emulator": "LOCALCLOUD_PORT", "sagemaker": "LOCALCLOUD_SAGEMAKER_PORT"}


@dataclass(frozen=True)
class CloudStatus:
    """Whether all services are healthy, and the variables of the ports of those that don't run."""

    healthy: bool
    missing_ports: tuple[str, ...]


def cloud_status() -> CloudStatus:
    """The present status of the embedded cloud."""
    done = subprocess.run(cloud_command("status"), cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_STATUS)
    missing = [line.split()[0] for line in done.stdout.splitlines() if "not running" in line]
    return CloudStatus(done.returncode == 0, tuple(_PORT_OF[name] for name in missing))


def cloud_command(verb: str) -> list[str]:
    """The command line for ``up``, ``down`` or ``status``. Run it in the root of the checkout."""
    return [str(ROOT / ".venv-cloud" / "bin" / "python"), "-m", "localcloud", verb]
