"""How a new model takes over the traffic of an endpoint, and the alarms that undo it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sluice.declaration.pipeline import Pipeline

_FEWEST_FOR_A_CANARY = 2  # it is half of them at most
_AROUND_THE_BAKES = timedelta(minutes=30)  # the new instances start, and load the model
# If a container never answers its ping, SageMaker may try for an hour until it says Failed, and why.
_LATE_END = timedelta(hours=1)


def alarm_names(pipeline: Pipeline) -> tuple[str, str]:
    """Return the names of the alarms on errors and on latency, which the stack has if a canary is declared."""
    stem = f"sluice-{pipeline.name}-{pipeline.require_deployment().endpoint}".replace("_", "-")
    return f"{stem}-5xx", f"{stem}-latency"


def deployment_config(pipeline: Pipeline, instances: int) -> Mapping[str, Any]:
    """Return the member of an UpdateEndpoint request that shifts the traffic as declared; empty for all at once.

    A roll-back may go to a configuration of fewer instances than a canary needs, also to a serverless one.

    Source: SageMaker API reference, DeploymentConfig.

    Args:
        pipeline: A pipeline that declares a deployment.
        instances: How many instances the new configuration has.
    """
    canary = pipeline.require_deployment().canary
    if canary is None or instances < _FEWEST_FOR_A_CANARY:
        return {}
    bake = int(canary.bake.total_seconds())
    return {
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": round(canary.share * 100)},
                    "WaitIntervalInSeconds": bake,
                },
                "TerminationWaitInSeconds": bake,
                "MaximumExecutionTimeoutInSeconds": int(_longest_shift(pipeline).total_seconds()),
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarm_names(pipeline)]},
        }
    }


def longest_change(pipeline: Pipeline) -> timedelta:
    """Return how long a change of the endpoint may take, also one that fails."""
    return _longest_shift(pipeline) + _LATE_END


def _longest_shift(pipeline: Pipeline) -> timedelta:
    """Return after how long SageMaker itself rolls a canary back."""
    canary = pipeline.require_deployment().canary
    return _AROUND_THE_BAKES + (2 * canary.bake if canary else timedelta(0))
