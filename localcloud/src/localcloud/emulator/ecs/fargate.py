"""What Fargate offers: sizes of tasks, platform versions, and capacity providers.

Source: Amazon ECS Developer Guide, "Task CPU and memory", "Fargate platform versions for Amazon ECS", and "Amazon ECS
clusters for Fargate".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.service_model.errors import ServiceError

PROVIDERS = ("FARGATE", "FARGATE_SPOT")
PLATFORM_VERSION = "1.4.0"
PLATFORM_VERSIONS = ("LATEST", "1.4.0", "1.3.0")

_UNITS_A_CPU = 1024
_MIB_A_GB = 1024
_CPU = re.compile(r"\s*(\d+|\d*\.\d+)\s*(vcpu)?\s*", re.IGNORECASE)
_MEMORY = re.compile(r"\s*(\d+|\d*\.\d+)\s*(gb)?\s*", re.IGNORECASE)


def _gigabytes(first: int, last: int, step: int = 1) -> tuple[int, ...]:
    return tuple(each * _MIB_A_GB for each in range(first, last + 1, step))


MEMORY: Mapping[int, tuple[int, ...]] = {
    256: (512, *_gigabytes(1, 2)),
    512: _gigabytes(1, 4),
    1024: _gigabytes(2, 8),
    2048: _gigabytes(4, 16),
    4096: _gigabytes(8, 30),
    8192: _gigabytes(16, 60, 4),
    16384: _gigabytes(32, 120, 8),
}
"""The MiB of memory that a task may have, by its CPU units."""


@dataclass(frozen=True)
class Size:
    """What a task may use.

    Attributes:
        cpu: CPU units, of which a virtual CPU has 1024.
        memory: MiB.
    """

    cpu: int
    memory: int

    @property
    def cores(self) -> int:
        """How many cores the task can keep busy."""
        return -(-self.cpu // _UNITS_A_CPU)


def size(cpu: str, memory: str) -> Size:
    """Return the size that a request asks for.

    Args:
        cpu: Units, such as ``256``, or virtual CPUs, such as ``.25 vCPU``.
        memory: MiB, such as ``512``, or gigabytes, such as ``0.5 GB``.

    Raises:
        ServiceError: They aren't numbers, or Fargate has no such size.
    """
    wanted = Size(_parsed("cpu", _CPU, cpu, _UNITS_A_CPU), _parsed("memory", _MEMORY, memory, _MIB_A_GB))
    if wanted.memory not in MEMORY.get(wanted.cpu, ()):
        raise ServiceError(
            "ClientException",
            f"No Fargate configuration exists for given values: {wanted.cpu} CPU, {wanted.memory} memory. "
            "See the Amazon ECS documentation for the valid values.",
        )
    return wanted


def _parsed(name: str, pattern: re.Pattern[str], text: str, factor: int) -> int:
    match = pattern.fullmatch(text)
    if match is None:
        raise ServiceError("ClientException", f"Invalid '{name}' setting for task.")
    number, unit = match.groups()
    return round(float(number) * factor) if unit else int(float(number))
