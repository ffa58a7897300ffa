"""The folder of the embedded cloud's state, the ports on which it listens, and what it runs in place of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """One embedded cloud. Everything listens on loopback only.

    Attributes:
        state: The folder of all state and logs.
        port: The emulator's port.
        sagemaker_port: The SageMaker stand-in's port.
        images: What takes the place of images, as :func:`localcloud.images.parse` reads it.
    """

    state: Path
    port: int
    sagemaker_port: int
    images: str = "{}"

    @property
    def lock(self) -> Path:
        """The file that a command locks before it starts or stops services."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.state / "logs"


def endpoint_variables(port: int, sagemaker_port: int) -> dict[str, str]:
    """Return the environment variables with which boto3 finds an embedded cloud.

    Args:
        port: The emulator's port.
        sagemaker_port: The SageMaker stand-in's port.
    """
    emulator, sagemaker = (f"http://{HOST}:{each}" for each in (port, sagemaker_port))
    return {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": sagemaker,
        "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sagemaker,
    }
