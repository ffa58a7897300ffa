"""How a deployment brings traffic to a new fleet: the steps of a DeploymentConfig, and what makes one invalid.

After "Deployment guardrails" in the SageMaker Developer Guide. What the guide leaves open is chosen here: a percentage
is a share of the traffic even where it is no whole number of instances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]

_LONGEST_SECONDS = 28800.0  # the most that MaximumExecutionTimeoutInSeconds may be, taken where it isn't given
_WAIT = "WaitIntervalInSeconds"
_TERMINATION_WAIT = "TerminationWaitInSeconds"


class InvalidDeploymentConfigError(Exception):
    """The service wouldn't take this DeploymentConfig; the message says why."""


@dataclass(frozen=True)
class Size:
    """A part of a fleet: a number of instances, or a percentage of its capacity."""

    kind: str
    value: int

    @classmethod
    def of(cls, capacity: Config) -> Size:
        """Of a CapacitySize."""
        return cls(capacity["Type"], capacity["Value"])

    def share(self, instances: int) -> float:
        """Which part of a fleet of so many instances it is."""
        return self.value / (instances if self.kind == "INSTANCE_COUNT" else 100)


@dataclass(frozen=True)
class Step:
    """One shift of traffic, and the bake that follows it.

    ``shares``: of each variant's requests, the part that the new fleet gets, above 0 and at most 1; ``stage`` names the
    capacity in messages, ``wait`` the member of the DeploymentConfig that asks for the ``seconds``.
    """

    shares: Mapping[str, float]
    stage: str
    seconds: float
    wait: str

    @property
    def is_full(self) -> bool:
        return all(share >= 1 for share in self.shares.values())

    def active(self, instances: Mapping[str, int]) -> dict[str, int]:
        """How many instances of each variant's new fleet get traffic."""
        return {name: max(1, math.ceil(count * self.shares[name] - 1e-9)) for name, count in instances.items()}


@dataclass(frozen=True)
class Plan:
    """The steps of a deployment; ``alarms`` are looked at before each and through its bake."""

    steps: tuple[Step, ...]
    alarms: tuple[str, ...]
    timeout: float

    @property
    def seconds(self) -> float:
        """How long its bakes take together."""
        return sum(step.seconds for step in self.steps)


def plan(config: Config, instances: Mapping[str, int]) -> Plan:
    """The plan of a deployment.

    Args:
        config: a DeploymentConfig that `check` lets pass; empty for the default, all at once.
        instances: of the new fleet, by variant.
    """
    return Plan(
        steps=_steps(config, instances),
        alarms=alarms(config),
        timeout=float(_policy(config).get("MaximumExecutionTimeoutInSeconds", _LONGEST_SECONDS)),
    )


def alarms(config: Config) -> tuple[str, ...]:
    """The names of the alarms that roll the deployment back."""
    return tuple(alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", []))


def _steps(config: Config, instances: Mapping[str, int]) -> tuple[Step, ...]:
    policy = _policy(config)
    if "RollingUpdatePolicy" in config:
        size = Size.of(policy["MaximumBatchSize"])
        return tuple(
            Step(shares, "batch", policy[_WAIT], _WAIT) for shares in (*_partial(size, instances), _full(instances))
        )
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", _WAIT: 0})
    wait = routing[_WAIT]
    last = Step(_full(instances), "full", policy.get(_TERMINATION_WAIT, 0), _TERMINATION_WAIT)
    if routing["Type"] == "CANARY":
        share = Size.of(routing["CanarySize"]).share
        canary = Step({name: share(count) for name, count in instances.items()}, "canary", wait, _WAIT)
        return canary, last
    if routing["Type"] == "LINEAR":
        size = Size.of(routing["LinearStepSize"])
        return (*(Step(shares, "linear", wait, _WAIT) for shares in _partial(size, instances)), last)
    # There is nothing between whose shifts to wait: it is taken for a bake, the longer of the two.
    return (Step(_full(instances), "full", wait, _WAIT) if wait > last.seconds else last,)


def _partial(size: Size, instances: Mapping[str, int]) -> list[dict[str, float]]:
    """The shares after one batch, two, …, before all of the traffic is shifted."""
    batches = max(math.ceil(1 / size.share(count) - 1e-9) for count in instances.values())
    return [
        {name: min(1.0, batch * size.share(count)) for name, count in instances.items()} for batch in range(1, batches)
    ]


def _full(instances: Mapping[str, int]) -> dict[str, float]:
    return dict.fromkeys(instances, 1.0)


def check(config: Config) -> None:
    """Refuse what no fleet could be deployed by.

    Raises:
        InvalidDeploymentConfigError: two policies, a size that is missing, or waits that don't fit the time-out.
    """
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        raise InvalidDeploymentConfigError(
            "Only one update policy can be specified in the deployment configuration: BlueGreenUpdatePolicy or "
            "RollingUpdatePolicy."
        )
    routing = _policy(config).get("TrafficRoutingConfiguration", {})
    for kind, member in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if routing.get("Type") == kind and member not in routing:
            raise InvalidDeploymentConfigError(f"{member} is required for the traffic routing type {kind}.")
        if routing.get("Type") not in (None, kind) and member in routing:
            raise InvalidDeploymentConfigError(
                f"{member} is not supported for the traffic routing type {routing['Type']}."
            )
    _check_waits(config)
    for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", []):
        if "AlarmName" not in alarm:
            raise InvalidDeploymentConfigError("Each alarm of AutoRollbackConfiguration needs an AlarmName.")


def _check_waits(config: Config) -> None:
    """API reference, BlueGreenUpdatePolicy: the time-out should be larger than the two waits together.

    Linear steps wait once each: whether all of them fit isn't said to be checked.
    """
    policy = config.get("BlueGreenUpdatePolicy", {})
    timeout = policy.get("MaximumExecutionTimeoutInSeconds", _LONGEST_SECONDS)
    waits = policy.get("TrafficRoutingConfiguration", {}).get(_WAIT, 0) + policy.get(_TERMINATION_WAIT, 0)
    if waits >= timeout:
        raise InvalidDeploymentConfigError(
            f"MaximumExecutionTimeoutInSeconds ({timeout:g}) must be larger than the total waiting time of "
            f"{_TERMINATION_WAIT} and {_WAIT} ({waits:g})."
        )


def check_fleets(config: Config, old: Mapping[str, int], new: Mapping[str, int]) -> None:
    """Refuse what doesn't fit the fleets; both are told by their instances by variant.

    Raises:
        InvalidDeploymentConfigError: a step is too large or too small, or traffic can't be shifted in steps.
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


def _sizes(config: Config) -> list[tuple[str, Size, int, int]]:
    """The sizes that the config names: member, size, and its least and most as percentages."""
    if "RollingUpdatePolicy" in config:
        rolling = config["RollingUpdatePolicy"]
        sizes = [("MaximumBatchSize", Size.of(rolling["MaximumBatchSize"]), 5, 50)]
        if "RollbackMaximumBatchSize" in rolling:
            sizes.append(("RollbackMaximumBatchSize", Size.of(rolling["RollbackMaximumBatchSize"]), 5, 100))
        return sizes
    routing = _policy(config).get("TrafficRoutingConfiguration", {})
    if routing.get("Type") == "CANARY":
        return [("CanarySize", Size.of(routing["CanarySize"]), 0, 50)]
    if routing.get("Type") == "LINEAR":
        return [("LinearStepSize", Size.of(routing["LinearStepSize"]), 10, 50)]
    return []


def _policy(config: Config) -> Config:
    policy: Config = config.get("BlueGreenUpdatePolicy") or config.get("RollingUpdatePolicy") or {}
    return policy
