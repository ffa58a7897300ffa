"""How the instances of an endpoint follow the requests, by Application Auto Scaling.

Nothing scales during a deployment: AWS does not scale an endpoint that is being updated, and refuses to change the type
of instances that scale (SageMaker developer guide, "Update endpoints that use auto scaling").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.declaration.deployment import Deployment
from sluice.errors import DeploymentFailed
from sluice.serving.recipe import VARIANT, Recipe
from sluice.workspace import Workspace

_POLICY = "sluice-requests"
_METRIC = "SageMakerVariantInvocationsPerInstance"


@dataclass(frozen=True)
class Scaling:
    """The bounds of the number of instances, and the requests a minute of each; ``wait`` is in seconds."""

    fewest: int
    most: int
    requests: float
    wait: int

    def __str__(self) -> str:
        return f"{self.fewest} to {self.most} instances at {self.requests:g} requests a minute each"


def scales_as_declared(deployment: Deployment, recipe: Recipe) -> bool:
    """Return whether an endpoint scales: a roll-back may go to a configuration without instances.

    Args:
        deployment: What is declared.
        recipe: The requests that make the configuration that serves.
    """
    return deployment.autoscaling is not None and recipe.instances > 0


def apply_scaling(workspace: Workspace, recipe: Recipe, *, scaled: bool) -> None:
    """Make the endpoint scale as declared, and read back that it does. If it does already, nothing is requested.

    Args:
        workspace: The workspace of a pipeline that declares a deployment, whose endpoint serves.
        recipe: The requests that make the configuration that serves.
        scaled: Whether an earlier deployment has made it scale.

    Raises:
        DeploymentFailed: it scales otherwise in spite of the request.
    """
    deployment = workspace.pipeline.require_deployment()
    wanted = _declared(deployment) if scales_as_declared(deployment, recipe) else None
    if wanted is None and scaled:
        suspend_scaling(workspace)
    if wanted is None or find_scaling(workspace) == wanted:
        return
    client, variant = workspace.aws.client("application-autoscaling"), _variant(deployment)
    client.register_scalable_target(**variant, MinCapacity=wanted.fewest, MaxCapacity=wanted.most)
    client.put_scaling_policy(
        **variant,
        PolicyName=_POLICY,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": wanted.requests,
            "PredefinedMetricSpecification": {"PredefinedMetricType": _METRIC},
            "ScaleOutCooldown": wanted.wait,
            "ScaleInCooldown": wanted.wait,
        },
    )
    found = find_scaling(workspace)
    if found != wanted:
        raise DeploymentFailed(
            f"endpoint {deployment.endpoint} scales as {found or 'nothing'}, not as {wanted}; look at who else changes "
            f"its scaling, then deploy again"
        )


def suspend_scaling(workspace: Workspace) -> None:
    """End the scaling of the endpoint, if it scales. It keeps the instances that it has.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
    """
    variant = _variant(workspace.pipeline.require_deployment())
    try:
        workspace.aws.client("application-autoscaling").deregister_scalable_target(**variant)
    except ClientError as error:
        if not is_absent(error):
            raise


def find_scaling(workspace: Workspace) -> Scaling | None:
    """Return how the endpoint scales.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.

    Returns:
        None if it does not scale, or not by Sluice's policy.
    """
    client, variant = workspace.aws.client("application-autoscaling"), _variant(workspace.pipeline.require_deployment())
    targets = client.describe_scalable_targets(
        ServiceNamespace=variant["ServiceNamespace"],
        ResourceIds=[variant["ResourceId"]],
        ScalableDimension=variant["ScalableDimension"],
    )["ScalableTargets"]
    policies = client.describe_scaling_policies(**variant, PolicyNames=[_POLICY])["ScalingPolicies"]
    if not targets or not policies:
        return None
    tracking = policies[0]["TargetTrackingScalingPolicyConfiguration"]
    return Scaling(
        fewest=targets[0]["MinCapacity"],
        most=targets[0]["MaxCapacity"],
        requests=tracking["TargetValue"],
        wait=tracking.get("ScaleOutCooldown", 0),
    )


def _declared(deployment: Deployment) -> Scaling | None:
    scaling = deployment.autoscaling
    if scaling is None:
        return None
    return Scaling(deployment.instances, scaling.most, float(scaling.requests), int(scaling.wait.total_seconds()))


def _variant(deployment: Deployment) -> Mapping[str, Any]:
    """Return the members of a request that name the variant of the endpoint."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{deployment.endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
