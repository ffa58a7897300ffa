"""The two services of the embedded cloud: their commands, environments and health paths."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud import images
from localcloud.settings import HOST, Settings

# The services that are on; :mod:`localcloud.emulator.used_services` turns off every way to the others.
USED_SERVICES = (
    *("cloudformation", "ecs", "iam", "kinesis", "lambda", "logs", "monitoring"),
    *("s3", "scheduler", "sns", "sqs", "ssm", "states", "sts"),
)


@dataclass(frozen=True)
class Service:
    """A child process that listens on one port of the loopback interface.

    Attributes:
        name: The service's name in messages and file names.
        port: The port.
        port_option: How a user chooses another port, for messages.
        health_path: The path that answers 200 if the service is healthy.
        command: The command line.
        environment: All environment variables.
        log: The file of its output.
        record: The file that identifies its process.
    """

    name: str
    port: int
    port_option: str
    health_path: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    record: Path

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return f"http://{HOST}:{self.port}"

    @property
    def health_url(self) -> str:
        """The URL that answers 200 if the service is healthy."""
        return self.endpoint + self.health_path


def all_services(settings: Settings) -> tuple[Service, ...]:
    """Return both services in the order of their start: the stand-in needs the emulator's S3."""
    return emulator(settings), sagemaker(settings)


def emulator(settings: Settings) -> Service:
    """Return the emulator, which is ministack with its state on disk.

    Ministack's defaults are a bind to every interface, a hundred services, listeners for SFTP and MQTT, and state in
    /tmp.
    """
    folder = settings.state / "emulator"
    return Service(
        name="emulator",
        port=settings.port,
        port_option="--port or LOCALCLOUD_PORT",
        health_path="/_ministack/health",
        command=(sys.executable, "-m", "localcloud.emulator"),
        environment=_environment(
            settings,
            BIND_HOST=HOST,
            GATEWAY_PORT=str(settings.port),
            MINISTACK_HOST=HOST,  # the host of queue URLs in every answer
            PERSIST_STATE="1",
            STATE_DIR=str(folder / "state"),
            S3_PERSIST="1",
            S3_DATA_DIR=str(folder / "s3"),
            SERVICES=",".join(USED_SERVICES),
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
            LOG_LEVEL="WARNING",
            LOCALCLOUD_SAGEMAKER_PORT=str(settings.sagemaker_port),
            **{images.SETTING: settings.images},
        ),
        log=settings.logs / "emulator.log",
        record=settings.state / "emulator.json",
    )


def sagemaker(settings: Settings) -> Service:
    """Return the SageMaker stand-in: control plane and runtime on one port."""
    folder = settings.state / "sagemaker"
    return Service(
        name="sagemaker",
        port=settings.sagemaker_port,
        port_option="--sagemaker-port or LOCALCLOUD_SAGEMAKER_PORT",
        health_path="/ping",
        command=(
            *(sys.executable, "-m", "localcloud.sagemaker"),
            *("--state", str(folder)),
            *("--port", str(settings.sagemaker_port)),
            *("--aws-endpoint", f"http://{HOST}:{settings.port}"),
        ),
        environment=_environment(settings),
        log=settings.logs / "sagemaker.log",
        record=settings.state / "sagemaker.json",
    )


def _environment(settings: Settings, **variables: str) -> Mapping[str, str]:
    package_parent = str(Path(__file__).resolve().parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([package_parent, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        **{name: ",".join(filter(None, [os.environ.get(name), HOST])) for name in ("NO_PROXY", "no_proxy")},
        "TMPDIR": str(settings.state / "tmp"),
        **variables,
    }
