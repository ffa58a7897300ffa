"""How a deployment brings traffic to a new fleet: the steps of a DeploymentConfig, and what makes one invalid.

It follows "Deployment guardrails" in the SageMaker Developer Guide. Where the guide leaves it open, a percentage is a
share of the traffic, even if it isn't a whole number of instances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.sagemaker.hosting.documents import CapacitySize, DeploymentConfig, RollingUpdatePolicy, TrafficRouting

_LONGEST_SECONDS = 28800.0  # the maximum of MaximumExecutionTimeoutInSeconds, and its default
_WAIT = "WaitIntervalInSeconds"
_TERMINATION_WAIT = "TerminationWaitInSeconds"


class InvalidDeploymentConfigError(Exception):
    """The service would refuse this DeploymentConfig; the message says why."""


@dataclass(frozen=True)
class Size:
    """A part of a fleet: a number of instances (kind INSTANCE_COUNT), or a percentage of its capacity."""

    kind: str
    value: int

    @classmethod
    def of(cls, capacity: CapacitySize) -> Size:
        """Return the size of a request's CapacitySize."""
        return cls(capacity["Type"], capacity["Value"])

    def share(self, instances: int) -> float:
        """Return which part of a fleet with this many instances it is, 1 for the whole fleet."""
        return self.value / (instances if self.kind == "INSTANCE_COUNT" else 100)


@dataclass(frozen=True)
class Step:
    """One shift of traffic, and the bake after it.

    Attributes:
        shares: The new fleet's share of the requests by variant, above 0 and at most 1.
        stage: The name of the capacity in messages.
        seconds: How long the bake takes.
        wait: The member of the DeploymentConfig with the seconds.
    """

    shares: Mapping[str, float]
    stage: str
    seconds: float
    wait: str

    @property
    def is_full(self) -> bool:
        """Whether the new fleet gets all traffic."""
        return all(share >= 1 for share in self.shares.values())

    def active(self, instances: Mapping[str, int]) -> dict[str, int]:
        """Return how many instances of the new fleet get traffic, by variant; ``instances`` are all of them."""
        return {name: max(1, math.ceil(count * self.shares[name] - 1e-9)) for name, count in instances.items()}


@dataclass(frozen=True)
class Plan:
    """The steps of a deployment.

    Attributes:
        steps: The steps in their order.
        alarms: The names of the alarms to watch before each step and during its bake.
        timeout: How many seconds the whole deployment may take.
    """

    steps: tuple[Step, ...]
    alarms: tuple[str, ...]
    timeout: float

    @property
    def seconds(self) -> float:
        """How long all bakes take together."""
        return sum(step.seconds for step in self.steps)


def plan(config: DeploymentConfig, instances: Mapping[str, int]) -> Plan:
    """Return the plan of a deployment.

    Args:
        config: A DeploymentConfig that `check` finds valid; empty for the default, all at once.
        instances: The number of instances of the new fleet by variant.
    """
    return Plan(
        steps=_steps(config, instances),
        alarms=alarms(config),
        timeout=_timeout(config),
    )


def alarms(config: DeploymentConfig) -> tuple[str, ...]:
    """Return the names of the alarms that roll the deployment back."""
    return tuple(alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", []))


def _steps(config: DeploymentConfig, instances: Mapping[str, int]) -> tuple[Step, ...]:
    if "RollingUpdatePolicy" in config:
        return _batches(config["RollingUpdatePolicy"], instances)
    routing = _routing(config)
    wait, termination_wait = _waits(config)
    last = Step(_full(instances), "full", termination_wait, _TERMINATION_WAIT)
    if routing["Type"] == "CANARY":
        share = Size.of(routing["CanarySize"]).share
        canary = Step({name: share(count) for name, count in instances.items()}, "canary", wait, _WAIT)
        return canary, last
    if routing["Type"] == "LINEAR":
        size = Size.of(routing["LinearStepSize"])
        return (*(Step(shares, "linear", wait, _WAIT) for shares in _partial(size, instances)), last)
    # There is one shift only, so nothing waits between shifts: the longer of the two waits is the bake.
    return (Step(_full(instances), "full", wait, _WAIT) if wait > last.seconds else last,)


def _batches(policy: RollingUpdatePolicy, instances: Mapping[str, int]) -> tuple[Step, ...]:
    shares = (*_partial(Size.of(policy["MaximumBatchSize"]), instances), _full(instances))
    return tuple(Step(each, "batch", policy["WaitIntervalInSeconds"], _WAIT) for each in shares)


def _partial(size: Size, instances: Mapping[str, int]) -> list[dict[str, float]]:
    """Return the shares after one batch, two and so on, until the one that shifts the last traffic."""
    batches = max(math.ceil(1 / size.share(count) - 1e-9) for count in instances.values())
    return [
        {name: min(1.0, batch * size.share(count)) for name, count in instances.items()} for batch in range(1, batches)
    ]


def _full(instances: Mapping[str, int]) -> dict[str, float]:
    return dict.fromkeys(instances, 1.0)


def check(config: DeploymentConfig) -> None:
    """Refuse what is invalid for every fleet.

    Raises:
        InvalidDeploymentConfigError: There are two policies, a size is missing, or the waits exceed the time-out.
    """
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        raise InvalidDeploymentConfigError(
            "Only one update policy can be specified in the deployment configuration: BlueGreenUpdatePolicy or "
            "RollingUpdatePolicy."
        )
    routing = _routing(config)
    for kind, member in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if routing["Type"] == kind and member not in routing:
            raise InvalidDeploymentConfigError(f"{member} is required for the traffic routing type {kind}.")
        if routing["Type"] != kind and member in routing:
            raise InvalidDeploymentConfigError(
                f"{member} is not supported for the traffic routing type {routing['Type']}."
            )
    _check_waits(config)
    for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", []):
        if "AlarmName" not in alarm:
            raise InvalidDeploymentConfigError("Each alarm of AutoRollbackConfiguration needs an AlarmName.")


def _check_waits(config: DeploymentConfig) -> None:
    """Require a time-out above the two waits together (API reference, BlueGreenUpdatePolicy).

    Linear steps wait once each; the reference doesn't say that their sum is checked.
    """
    timeout, waits = _timeout(config), sum(_waits(config))
    if waits >= timeout:
        raise InvalidDeploymentConfigError(
            f"MaximumExecutionTimeoutInSeconds ({timeout:g}) must be larger than the total waiting time of "
            f"{_TERMINATION_WAIT} and {_WAIT} ({waits:g})."
        )


def check_fleets(config: DeploymentConfig, old: Mapping[str, int], new: Mapping[str, int]) -> None:
    """Refuse what doesn't fit the fleets.

    Args:
        config: A DeploymentConfig that `check` finds valid.
        old: The number of instances of the old fleet by variant.
        new: The number of instances of the new fleet by variant.

    Raises:
        InvalidDeploymentConfigError: A step is too large or too small, or traffic can't be shifted in steps.
    """
    sizes = _sizes(config)
    for member, size, least, most in sizes:
        for name, count in new.items():
            if not least <= size.share(count) * 100 <= most:
                allowed = f"between {least}% and {most}%" if least else f"less than or equal to {most}%"
                raise InvalidDeploymentConfigError(
                    f"{member} must be {allowed} of the total instance count of variant {name} ({count})."
                )
    if sizes and set(old) != set(new):
        raise InvalidDeploymentConfigError(
            f"Traffic can only be shifted in steps between variants of the same names: the endpoint has {sorted(old)}, "
            f"the new endpoint configuration {sorted(new)}."
        )
    if "RollingUpdatePolicy" in config and len(new) > 1:
        raise InvalidDeploymentConfigError("RollingUpdatePolicy is not supported for endpoints with several variants.")


def _sizes(config: DeploymentConfig) -> list[tuple[str, Size, int, int]]:
    """Return the sizes of the config: member, size, and its minimum and maximum in percent."""
    if "RollingUpdatePolicy" in config:
        rolling = config["RollingUpdatePolicy"]
        sizes = [("MaximumBatchSize", Size.of(rolling["MaximumBatchSize"]), 5, 50)]
        if "RollbackMaximumBatchSize" in rolling:
            sizes.append(("RollbackMaximumBatchSize", Size.of(rolling["RollbackMaximumBatchSize"]), 5, 100))
        return sizes
    routing = _routing(config)
    if routing["Type"] == "CANARY":
        return [("CanarySize", Size.of(routing["CanarySize"]), 0, 50)]
    if routing["Type"] == "LINEAR":
        return [("LinearStepSize", Size.of(routing["LinearStepSize"]), 10, 50)]
    return []


def _routing(config: DeploymentConfig) -> TrafficRouting:
    if "BlueGreenUpdatePolicy" in config:
        return config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    return {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}


def _waits(config: DeploymentConfig) -> tuple[int, int]:
    """Return the seconds between shifts, and those before the old fleet is terminated."""
    if "BlueGreenUpdatePolicy" not in config:
        return 0, 0
    policy = config["BlueGreenUpdatePolicy"]
    return policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"], policy.get("TerminationWaitInSeconds", 0)


def _timeout(config: DeploymentConfig) -> float:
    policy = config.get("BlueGreenUpdatePolicy") or config.get("RollingUpdatePolicy")
    return float(policy.get("MaximumExecutionTimeoutInSeconds", _LONGEST_SECONDS)) if policy else _LONGEST_SECONDS
