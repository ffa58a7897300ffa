"""Fixtures that every test may use."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

_ROOT = Path(__file__).resolve().parents[1]
_COMMAND_SECONDS = 120

# Airflow settles on its folders when it is first imported, whichever test does that: never on the user's own home.
_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="sluice-airflow-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME.name
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(_ROOT / "plugins")


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud, and the environment by which boto3 and Airflow find it."""

    endpoint_url: str
    sagemaker_endpoint_url: str
    environment: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A boto3 client of the service, bound to this cloud whatever the process's environment says."""
        of_sagemaker = service.startswith("sagemaker")
        return boto3.client(  # type: ignore[call-overload]  # its overloads want a literal name
            service,
            endpoint_url=self.sagemaker_endpoint_url if of_sagemaker else self.endpoint_url,
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}),
        )


def cloud_at(port: int, sagemaker_port: int) -> Cloud:
    """The embedded cloud that listens on these ports of 127.0.0.1."""
    endpoint_url, sagemaker_endpoint_url = (f"http://127.0.0.1:{each}" for each in (port, sagemaker_port))
    return Cloud(
        endpoint_url=endpoint_url,
        sagemaker_endpoint_url=sagemaker_endpoint_url,
        environment={
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker_endpoint_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sagemaker_endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    )


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded cloud of the session's own (of the worker's own under xdist), gone when it ends."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@contextmanager
def running_cloud(state: Path) -> Iterator[Cloud]:
    """An embedded cloud that keeps its state in this folder, on ports of its own."""
    port, sagemaker_port = free_ports(2)
    options = [
        *("--state", str(state)),
        *("--port", str(port)),
        *("--sagemaker-port", str(sagemaker_port)),
    ]
    try:
        _localcloud("up", *options)
        yield cloud_at(port, sagemaker_port)
    finally:
        _localcloud("down", *options)


def _localcloud(*arguments: str) -> None:
    done = subprocess.run(
        [str(_ROOT / ".venv-cloud/bin/python"), "-m", "localcloud", *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"localcloud {arguments[0]}: {done.stdout}{done.stderr}"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
