"""Where a step runs, as a user declares it. The bytes that it writes do not depend on it.

A runtime is one of these classes and its implementation, which does the work (:mod:`sluice.compute.contract`). The
class names its implementation, so there is no list of runtimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Literal

from typing_extensions import override

from sluice.declaration.checks import check_count, check_duration, check_number
from sluice.errors import DeclarationError

# AWS Lambda developer guide, "Lambda quotas".
LAMBDA_SECONDS = 900
_LEAST_SECONDS = 10  # the last five are for the result
_LEAST_LAMBDA_MB, _MOST_LAMBDA_MB = 128, 10_240
_LEAST_DISK_MB, _MOST_DISK_MB = 512, 10_240
# A reader has at most 20 lanes, and so has a step: what is shared with others, such as S3, is not flooded.
_MOST_CONCURRENCY = 20

# Amazon ECS developer guide, "Fargate task CPU and memory": the GB of memory that each number of vCPUs can have.
FARGATE_MEMORY_GB: Mapping[float, tuple[float, ...]] = {
    0.25: (0.5, 1, 2),
    0.5: (1, 2, 3, 4),
    1: tuple(range(2, 9)),
    2: tuple(range(4, 17)),
    4: tuple(range(8, 31)),
    8: tuple(range(16, 61, 4)),
    16: tuple(range(32, 121, 8)),
}
_LONGEST_TASK = timedelta(days=7)
_LARGEST_EXPANSION = 1_000.0


@dataclass(frozen=True)
class Runtime:
    """The base of all runtimes.

    Attributes:
        implementation: ``"module:Class"`` of what does the work. It is imported only when a step runs or is
            provisioned, because a declaration must be cheap to parse.
    """

    implementation: ClassVar[str]

    @property
    def needs_network(self) -> bool:
        """Whether it runs only in subnets of the user's own."""
        return False

    @property
    def wants_spot(self) -> bool:
        """Whether it uses spare capacity of Fargate."""
        return False

    @property
    def needs_archives(self) -> bool:
        """Whether it runs from zip archives."""
        return False


@dataclass(frozen=True)
class Worker(Runtime):
    """The step runs in the Airflow worker itself."""

    implementation = "sluice.compute.worker:WorkerRuntime"


@dataclass(frozen=True)
class Lambda(Runtime):
    """The step runs in an AWS Lambda function of its own.

    Args:
        memory_mb: The memory of the function in MiB, 128 to 10,240. The share of a CPU grows with it: 1,769 MiB are
            one vCPU.
        disk_mb: The size of ``/tmp`` in MiB, 512 to 10,240.
        seconds: The longest time of a run, 10 to 900; the last five of them are for the result.
        concurrency: How many runs there may be at once, 1 to 20. It is reserved for the function.
        package: ``image``: the function is the image of steps. ``zip``: it is an archive of the code and a layer of the
            libraries, for pipelines whose libraries fit into 250 MB.

    Raises:
        DeclarationError: a member is out of its range.
    """

    implementation = "sluice.compute.functions:LambdaRuntime"

    memory_mb: int = 2_048
    disk_mb: int = 512
    seconds: int = LAMBDA_SECONDS
    concurrency: int = 10
    package: Literal["image", "zip"] = "image"

    def __post_init__(self) -> None:
        check_count("Lambda", "memory_mb", self.memory_mb, _LEAST_LAMBDA_MB, _MOST_LAMBDA_MB)
        check_count("Lambda", "disk_mb", self.disk_mb, _LEAST_DISK_MB, _MOST_DISK_MB)
        check_count("Lambda", "seconds", self.seconds, _LEAST_SECONDS, LAMBDA_SECONDS)
        check_count("Lambda", "concurrency", self.concurrency, 1, _MOST_CONCURRENCY)
        if self.package not in ("image", "zip"):
            raise DeclarationError(f"Lambda: package={self.package!r} is not known; use 'image' or 'zip'")

    @property
    @override
    def needs_archives(self) -> bool:
        return self.package == "zip"


@dataclass(frozen=True)
class Fargate(Runtime):
    """The step runs in an ECS task on AWS Fargate.

    Args:
        vcpu: The number of vCPUs: 0.25, 0.5, 1, 2, 4, 8 or 16.
        memory_gb: The memory in GiB. Each number of vCPUs has its own choice, up to 120.
        spot: Whether spare capacity is used, which costs less. AWS may take it back: then the run starts again.
        longest: The longest time of a run, from a minute to seven days.

    Raises:
        DeclarationError: Fargate has no such size, or a member is out of its range.
    """

    implementation = "sluice.compute.containers:FargateRuntime"

    vcpu: float = 1
    memory_gb: float = 4
    spot: bool = False
    longest: timedelta = timedelta(hours=6)

    def __post_init__(self) -> None:
        choices = FARGATE_MEMORY_GB.get(self.vcpu)
        if choices is None:
            sizes = ", ".join(f"{size:g}" for size in FARGATE_MEMORY_GB)
            raise DeclarationError(f"Fargate: vcpu={self.vcpu!r} is no size of Fargate; use one of {sizes}")
        if self.memory_gb not in choices:
            raise DeclarationError(
                f"Fargate: {self.vcpu:g} vCPU can't have memory_gb={self.memory_gb!r}; use one of "
                f"{', '.join(f'{size:g}' for size in choices)}"
            )
        check_duration("Fargate", "longest", self.longest, timedelta(minutes=1), _LONGEST_TASK)

    @property
    @override
    def needs_network(self) -> bool:
        return True

    @property
    @override
    def wants_spot(self) -> bool:
        return self.spot


@dataclass(frozen=True)
class Auto(Runtime):
    """Each run of the step goes to Lambda while what was measured says that it fits there, and else to Fargate.

    Time, memory and disk are predicted from the measured runs of the step, and the first one from the bytes of its
    inputs. A prediction fits Lambda up to half of each limit. A run that fails on memory or time moves up once.

    Args:
        small: The function.
        large: The task on Fargate. Its size is the smallest one that a run gets there.
        expansion: How many bytes of memory one byte of compressed input needs, 1 to 1,000, as far as nothing was
            measured.

    Raises:
        DeclarationError: a member is out of its range.
    """

    implementation = "sluice.compute.auto:AutoRuntime"

    small: Lambda = field(default_factory=Lambda)
    large: Fargate = field(default_factory=Fargate)
    expansion: float = 25.0

    def __post_init__(self) -> None:
        if not isinstance(self.small, Lambda) or not isinstance(self.large, Fargate):
            raise DeclarationError("Auto: small is a Lambda and large a Fargate; write Auto(small=Lambda(), large=…)")
        check_number("Auto", "expansion", self.expansion, 1, _LARGEST_EXPANSION)

    @property
    @override
    def needs_network(self) -> bool:
        return self.large.needs_network

    @property
    @override
    def wants_spot(self) -> bool:
        return self.large.wants_spot

    @property
    @override
    def needs_archives(self) -> bool:
        return self.small.needs_archives
