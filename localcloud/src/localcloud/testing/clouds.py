"""Embedded clouds for one test, on free ports, with their state in a folder of the test."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from localcloud.images import Image, as_setting
from localcloud.settings import HOST, endpoint_variables
from localcloud.testing.waiting import wait_for

SERVICES = ("emulator", "sagemaker")
OF_STAND_IN = ("application-autoscaling", "sagemaker", "sagemaker-runtime")  # the others are the emulator's

_COMMAND_SECONDS = 120


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud.

    Attributes:
        endpoint_url: The emulator.
        sagemaker_endpoint_url: The SageMaker stand-in.
        environment: The variables with which boto3 and Airflow use this cloud.
    """

    endpoint_url: str
    sagemaker_endpoint_url: str
    environment: Mapping[str, str]

    def endpoint(self, service: str) -> str:
        """Return the URL of a service, by its name in boto3."""
        return self.sagemaker_endpoint_url if service in OF_STAND_IN else self.endpoint_url

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service in this cloud, independent of the process's environment."""
        return boto3.client(  # type: ignore[call-overload]  # its overloads want a literal name
            service,
            endpoint_url=self.endpoint(service),
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}),
        )


def cloud_at(port: int, sagemaker_port: int) -> Cloud:
    """Return the embedded cloud that listens on two ports of 127.0.0.1.

    Args:
        port: The emulator's port.
        sagemaker_port: The SageMaker stand-in's port.
    """
    endpoint_url, sagemaker_endpoint_url = (f"http://{HOST}:{each}" for each in (port, sagemaker_port))
    return Cloud(
        endpoint_url=endpoint_url,
        sagemaker_endpoint_url=sagemaker_endpoint_url,
        environment={
            **endpoint_variables(port, sagemaker_port),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    )


@dataclass(frozen=True)
class LocalCloud:
    """The command line of an embedded cloud that a test may start, kill and start again.

    Attributes:
        state: The folder of its state; it need not exist.
        port: The emulator's port.
        sagemaker_port: The SageMaker stand-in's port.
        python: The interpreter of the environment in which localcloud is installed.
        images: What takes the place of container images and Lambda runtimes, by name.
    """

    state: Path
    port: int
    sagemaker_port: int
    python: Path = Path(sys.executable)
    images: Mapping[str, Image] = field(default_factory=dict)

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command (``up``, ``down``, ``status`` or ``run``), and return its process."""
        return subprocess.Popen(
            [
                *(str(self.python), "-m", "localcloud", command),
                *("--state", str(self.state)),
                *("--port", str(self.port)),
                *("--sagemaker-port", str(self.sagemaker_port)),
                *("--images", as_setting(self.images)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and return its exit status and output."""
        process = self.start(command)
        out, error = process.communicate(timeout=_COMMAND_SECONDS)
        return subprocess.CompletedProcess(command, process.returncode, out, error)

    def up(self) -> Cloud:
        """Start the cloud, wait until it is healthy, and return it."""
        self._must("up")
        return cloud_at(self.port, self.sagemaker_port)

    def down(self) -> None:
        """Stop the cloud."""
        self._must("down")

    def record(self, service: str) -> Path:
        """Return the file in which the cloud records the process of a service."""
        return self.state / f"{service}.json"

    def processes(self) -> dict[str, psutil.Process]:
        """Return the processes that listen on the two ports, by service."""
        ports = dict(zip((self.port, self.sagemaker_port), SERVICES, strict=True))
        return {
            ports[connection.laddr.port]: psutil.Process(connection.pid)
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port in ports
            and connection.pid
        }

    def kill(self, service: str) -> None:
        """Kill a service by SIGKILL, and wait until it has ended."""
        process = self.processes()[service]
        process.kill()
        # Its parent has ended, and its new parent may reap it late.
        wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, what=f"no {service}")

    def _must(self, command: str) -> None:
        done = self.command(command)
        assert done.returncode == 0, f"localcloud {command}: {done.stdout}{done.stderr}"


@contextmanager
def running_cloud(
    state: Path, python: Path = Path(sys.executable), images: Mapping[str, Image] | None = None
) -> Iterator[Cloud]:
    """Run an embedded cloud for as long as the context lasts.

    Args:
        state: The folder of its state; it need not exist, and remains when the cloud is stopped.
        python: The interpreter of the environment in which localcloud is installed.
        images: What takes the place of container images and Lambda runtimes, by name; None for nothing.
    """
    port, sagemaker_port = free_ports(2)
    cloud = LocalCloud(state, port, sagemaker_port, python, images or {})
    try:
        yield cloud.up()
    finally:
        cloud.down()


def free_ports(count: int) -> list[int]:
    """Return ``count`` ports of 127.0.0.1 on which nothing listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
