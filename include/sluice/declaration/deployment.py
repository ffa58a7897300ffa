"""Where a model is served, as a user declares it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sluice.declaration.checks import (
    LONGEST_APPROVAL,
    check_count,
    check_duration,
    check_instance_type,
    check_number,
    check_text,
)
from sluice.declaration.monitoring import Monitoring
from sluice.errors import DeclarationError

_MOST_INSTANCES = 1_000  # SageMaker API reference, ProductionVariant
# API reference, TrafficRoutingConfig: a canary is at most half of the capacity, and bakes for an hour at most.
_LARGEST_SHARE, _LONGEST_BAKE = 0.5, timedelta(hours=1)
_LONGEST_COOLDOWN = timedelta(hours=1)


@dataclass(frozen=True)
class Canary:
    """A deployment in two shifts: first a share of the traffic goes to the new model, then all of it.

    After each shift the new model serves for a while before the next thing happens. If an alarm goes off meanwhile,
    SageMaker returns all traffic to the former model, which still runs. The stack has two alarms: on responses with a
    status of 5XX, and on the latency of the model.

    Args:
        share: The share of the traffic that the first shift moves, from 0.01 to 0.5.
        bake: How long the new model serves after each shift, up to an hour.
        most_errors: How many 5XX responses in a minute are allowed.
        slowest: The 99th percentile of the latency in a minute that is allowed.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    share: float = 0.1
    bake: timedelta = timedelta(minutes=10)
    most_errors: int = 0
    slowest: timedelta = timedelta(seconds=1)

    def __post_init__(self) -> None:
        check_number("canary", "share", self.share, 0.01, _LARGEST_SHARE)
        check_duration("canary", "bake", self.bake, timedelta(0), _LONGEST_BAKE)
        check_count("canary", "most_errors", self.most_errors, 0, 1_000_000)
        if not isinstance(self.slowest, timedelta) or self.slowest <= timedelta(0):
            raise DeclarationError(f"canary: slowest={self.slowest!r} must be a timedelta above 0")


@dataclass(frozen=True)
class Serverless:
    """An endpoint without instances: it costs what it answers, and its first answer after a pause is slow.

    Args:
        memory_mb: The memory of an instance of the model, 1,024 to 6,144, a multiple of 1,024.
        concurrency: How many requests are answered at once, 1 to 200.

    Raises:
        DeclarationError: a member is out of its range.
    """

    memory_mb: int = 2048
    concurrency: int = 5

    def __post_init__(self) -> None:
        check_count("serverless", "memory_mb", self.memory_mb, 1024, 6144)
        check_count("serverless", "concurrency", self.concurrency, 1, 200)
        if self.memory_mb % 1024:
            raise DeclarationError(f"serverless: memory_mb={self.memory_mb} must be a multiple of 1024")


@dataclass(frozen=True)
class Autoscaling:
    """Instances that follow the requests: AWS starts more while each has too many, and stops some while each has few.

    Args:
        most: The most instances; ``instances`` of the deployment is the fewest.
        requests: How many requests a minute an instance should answer.
        wait: How long after a change the next one may come, up to an hour.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    most: int
    requests: int
    wait: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        check_count("autoscaling", "most", self.most, 2, _MOST_INSTANCES)
        check_count("autoscaling", "requests", self.requests, 1, 1_000_000)
        check_duration("autoscaling", "wait", self.wait, timedelta(0), _LONGEST_COOLDOWN)


@dataclass(frozen=True)
class Deployment:
    """Where the model is served.

    Args:
        endpoint: The name of the endpoint: at most 46 letters in lower case, digits and ``-``. The workers may change
            no other endpoint.
        instance_type: The SageMaker instance type of the endpoint; it begins with ``ml.``.
        instances: How many instances the endpoint has, 1 to 1,000.
        canary: How a new model takes over the traffic; None: all at once. A canary needs two instances or more.
        serverless: Serve without instances; None: with ``instances``.
        autoscaling: How the number of instances follows the requests; None: it stays.
        approval: How long a person may take to approve a new model in Airflow's web UI; None: nobody is asked.
        monitoring: How the live model is watched; None: it is not.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    endpoint: str
    instance_type: str = "ml.m5.large"
    instances: int = 1
    canary: Canary | None = None
    serverless: Serverless | None = None
    autoscaling: Autoscaling | None = None
    approval: timedelta | None = None
    monitoring: Monitoring | None = None

    def __post_init__(self) -> None:
        check_text("deployment", "endpoint", self.endpoint, "late")
        check_count("deployment", "instances", self.instances, 1, _MOST_INSTANCES)
        check_instance_type("deployment", self.instance_type)
        if self.approval is not None:
            check_duration("deployment", "approval", self.approval, timedelta(seconds=1), LONGEST_APPROVAL)
        if self.autoscaling is not None and self.serverless is not None:
            raise DeclarationError(
                "deployment: autoscaling needs instances, and serverless has none; leave one of them out"
            )
        if self.autoscaling is not None and self.autoscaling.most <= self.instances:
            raise DeclarationError(
                f"deployment: autoscaling with most={self.autoscaling.most} must be above instances={self.instances}, "
                f"the fewest"
            )
        if self.canary is not None and self.serverless is not None:
            raise DeclarationError(
                "deployment: a canary needs instances, and serverless has none; leave one of them out"
            )
        if self.canary is not None and self.instances < 2:
            raise DeclarationError(
                "deployment: a canary is at most half of the instances, so it needs two; write instances=2"
            )
        if self.monitoring is not None and not isinstance(self.monitoring, Monitoring):
            raise DeclarationError(
                f"deployment: monitoring={self.monitoring!r} must be a Monitoring; write it as Monitoring(window=7)"
            )
