"""The folder of the embedded cloud's state, and the ports on which it listens."""

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
    """

    state: Path
    port: int
    sagemaker_port: int

    @property
    def lock(self) -> Path:
        """The file that a command locks before it starts or stops services."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.state / "logs"
