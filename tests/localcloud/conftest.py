"""An embedded cloud that a test may start, kill and start again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.conftest import Cloud, cloud_at, free_ports

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("emulator", "sagemaker")


@dataclass(frozen=True)
class LocalCloud:
    """The command line of an embedded cloud of the test's own; nothing runs until `command("up")`."""

    state: Path
    port: int
    sagemaker_port: int

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [
                *(str(ROOT / ".venv-cloud/bin/python"), "-m", "localcloud", command),
                *("--state", str(self.state)),
                *("--port", str(self.port)),
                *("--sagemaker-port", str(self.sagemaker_port)),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(command)
        out, error = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, error)

    def up(self) -> Cloud:
        """Bring it up; the clients' side of it."""
        done = self.command("up")
        assert done.returncode == 0, done.stderr
        return cloud_at(self.port, self.sagemaker_port)

    def record(self, service: str) -> Path:
        return self.state / f"{service}.json"

    def processes(self) -> dict[str, psutil.Process]:
        """The processes that listen on the two ports, by service."""
        ports = dict(zip((self.port, self.sagemaker_port), SERVICES, strict=True))
        return {
            ports[connection.laddr.port]: psutil.Process(connection.pid)
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port in ports
            and connection.pid
        }


@pytest.fixture
def localcloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """An embedded cloud of the test's own, down at its end."""
    yield from _localcloud(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An embedded cloud that the tests of a module share; each leaves it up."""
    yield from _localcloud(tmp_path_factory.mktemp("shared"))


def _localcloud(folder: Path) -> Iterator[LocalCloud]:
    cloud = LocalCloud(folder / "state", *free_ports(2))
    yield cloud
    cloud.command("down")
