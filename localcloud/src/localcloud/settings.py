"""Where the embedded cloud keeps its state and on which ports it listens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """One embedded cloud: its folder and its two ports. Everything listens on loopback only."""

    state: Path
    port: int
    sagemaker_port: int

    @property
    def lock(self) -> Path:
        """Held by the one command that may start or stop services."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        return self.state / "logs"
