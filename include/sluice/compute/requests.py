"""What a runtime elsewhere is asked to do: the event of a function, the command of a task."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Size(BaseModel):
    """A runtime elsewhere with its size.

    Attributes:
        kind: ``Lambda`` or ``Fargate``.
        memory_mb: The memory, in MiB.
        vcpu: The number of vCPUs on Fargate; 0 on Lambda, where it follows from the memory.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["Lambda", "Fargate"]
    memory_mb: int
    vcpu: float = 0

    def __str__(self) -> str:
        vcpus = f"{self.vcpu:g} vCPU and " if self.vcpu else ""
        return f"{self.kind} with {vcpus}{self.memory_mb:,} MB"


class Request(BaseModel):
    """One attempt of a step over some partitions. It is small enough for any service's limit.

    Attributes:
        pipeline: The name of the pipeline.
        step: The name of the step.
        partitions: The partitions, as ranges.
        code: The fingerprint of the step's code, as who asks has it.
        work: The digest of the work.
        attempt: The number of the attempt, from 1.
        size: The runtime.
        reason: Why it was chosen.
        seconds: The longest time, in seconds.
        dollars_per_second: The list price of a second, in US dollars.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    step: str
    partitions: str
    code: str
    work: str
    attempt: int
    size: Size
    reason: str
    seconds: int
    dollars_per_second: float

    def __str__(self) -> str:
        return f"step {self.step!r} of {self.pipeline} over {self.partitions} on {self.size}"
