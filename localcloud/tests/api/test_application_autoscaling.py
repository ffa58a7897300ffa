"""Endpoint variants that scale with their invocations, by Application Auto Scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud
from localcloud.testing.serving import ROW, create_model, settled, variant
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

METRIC = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
BOUNDS = {"MinCapacity": 1, "MaxCapacity": 4}


@pytest.fixture
def scaling(cloud: Cloud) -> Any:
    return cloud.client("application-autoscaling")


def of(endpoint: str) -> dict[str, str]:
    """Return the members that name the variant of an endpoint, which has the endpoint's name."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{endpoint}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def policy(endpoint: str, value: float, **more: Any) -> dict[str, Any]:
    tracking = {"TargetValue": value, "PredefinedMetricSpecification": METRIC, **more}
    return {
        **of(endpoint),
        "PolicyName": "by-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }


def targets(scaling: Any, endpoint: str) -> Any:
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[of(endpoint)["ResourceId"]])
    return found["ScalableTargets"]


def policies(scaling: Any, endpoint: str) -> Any:
    found = scaling.describe_scaling_policies(**of(endpoint))["ScalingPolicies"]
    return [(each["PolicyName"], each["TargetTrackingScalingPolicyConfiguration"]) for each in found]


def instances(sagemaker: SageMakerClient, endpoint: str) -> int:
    return sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"][0]["CurrentInstanceCount"]


def scales_to(sagemaker: SageMakerClient, endpoint: str, count: int) -> None:
    wait_for(lambda: instances(sagemaker, endpoint) == count, what=f"{count} instances of {endpoint}")
    settled(sagemaker, endpoint)


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_variant_scales_out_with_its_invocations_and_in_again(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, scaling: Any, live: str
) -> None:
    scaling.register_scalable_target(**of(live), **BOUNDS)
    scaling.put_scaling_policy(**policy(live, 3.0, ScaleOutCooldown=0, ScaleInCooldown=3600))

    for _ in range(7):
        runtime.invoke_endpoint(EndpointName=live, ContentType="text/csv", Body=ROW)

    scales_to(sagemaker, live, 3)
    scaling.put_scaling_policy(**policy(live, 1_000.0, ScaleOutCooldown=0, ScaleInCooldown=0))
    scales_to(sagemaker, live, 1)


def test_capacities_bound_what_serves(sagemaker: SageMakerClient, scaling: Any, live: str) -> None:
    scaling.register_scalable_target(**of(live), MinCapacity=2, MaxCapacity=5)
    scales_to(sagemaker, live, 2)

    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=live, DesiredWeightsAndCapacities=[{"VariantName": live, "DesiredInstanceCount": 9}]
    )

    scales_to(sagemaker, live, 5)


def test_target_and_policy_are_described_changed_and_removed(scaling: Any, live: str) -> None:
    arn = scaling.register_scalable_target(**of(live), **BOUNDS)["ScalableTargetARN"]
    assert arn.startswith("arn:aws:application-autoscaling:us-east-1:")
    assert scaling.register_scalable_target(**of(live), MaxCapacity=3)["ScalableTargetARN"] == arn
    (target,) = targets(scaling, live)
    assert (target["ScalableTargetARN"], target["MinCapacity"], target["MaxCapacity"]) == (arn, 1, 3)

    for value in (70.0, 80.0):
        scaling.put_scaling_policy(**policy(live, value))
    assert policies(scaling, live) == [
        ("by-invocations", {"TargetValue": 80.0, "PredefinedMetricSpecification": METRIC})
    ]
    scaling.delete_scaling_policy(**of(live), PolicyName="by-invocations")
    assert policies(scaling, live) == []

    scaling.put_scaling_policy(**policy(live, 70.0))
    scaling.deregister_scalable_target(**of(live))
    assert (targets(scaling, live), policies(scaling, live)) == ([], [])


def test_target_that_can_not_scale_is_refused(scaling: Any, live: str) -> None:
    for changes, message in (
        ({}, "are required"),
        ({"MinCapacity": 3, "MaxCapacity": 2}, "Maximum capacity cannot be less than minimum capacity"),
        ({"MinCapacity": 0, "MaxCapacity": 2}, "at least 1"),
        ({**of("no-such-endpoint"), **BOUNDS}, "no variant with instances"),
        ({**BOUNDS, "ResourceId": f"endpoint/{live}/variant/other"}, "no variant with instances"),
        ({**BOUNDS, "ResourceId": live}, "endpoint/my-endpoint/variant/my-variant"),
        ({**BOUNDS, "ServiceNamespace": "ecs"}, "ServiceNamespace sagemaker"),
    ):
        code, found = refusal(scaling.register_scalable_target, **{**of(live), **changes})
        assert (code, message in found) == ("ValidationException", True), found


def test_policy_without_a_target_or_of_another_kind_is_refused(scaling: Any, live: str) -> None:
    for call, request in (
        (scaling.put_scaling_policy, policy(live, 1.0)),
        (scaling.deregister_scalable_target, of(live)),
        (scaling.delete_scaling_policy, {**of(live), "PolicyName": "p"}),
    ):
        assert refusal(call, **request)[0] == "ObjectNotFoundException"
    scaling.register_scalable_target(**of(live), **BOUNDS)
    assert refusal(scaling.delete_scaling_policy, **of(live), PolicyName="p")[0] == "ObjectNotFoundException"
    other = {"PredefinedMetricType": "ALBRequestCountPerTarget"}
    for request in (
        policy(live, 0.0),
        {**policy(live, 1.0), "PolicyType": "StepScaling"},
        policy(live, 1.0, PredefinedMetricSpecification=other),
    ):
        assert refusal(scaling.put_scaling_policy, **request)[0] == "ValidationException"


def test_update_keeps_the_instances_and_may_not_change_their_type(
    sagemaker: SageMakerClient, scaling: Any, live: str, completed: Any
) -> None:
    other = f"{live[:50]}-other"
    create_model(sagemaker, other, completed["ModelArtifacts"]["S3ModelArtifacts"])
    for name, changes in ((other, {}), (f"{other}-type", {"InstanceType": "ml.c5.large"})):
        variants = [variant(live, other, **changes)]
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    scaling.register_scalable_target(**of(live), MinCapacity=3, MaxCapacity=4)
    scales_to(sagemaker, live, 3)

    code, message = refusal(sagemaker.update_endpoint, EndpointName=live, EndpointConfigName=f"{other}-type")
    assert (code, "Deregister the scalable target first" in message) == ("ValidationException", True)
    sagemaker.update_endpoint(EndpointName=live, EndpointConfigName=other, RetainAllVariantProperties=True)
    assert settled(sagemaker, live)["EndpointConfigName"] == other
    assert instances(sagemaker, live) == 3

    scaling.deregister_scalable_target(**of(live))
    sagemaker.update_endpoint(EndpointName=live, EndpointConfigName=f"{other}-type")
    assert settled(sagemaker, live)["EndpointConfigName"] == f"{other}-type"


def test_deleted_endpoint_scales_no_more(sagemaker: SageMakerClient, scaling: Any, live: str) -> None:
    scaling.register_scalable_target(**of(live), **BOUNDS)

    sagemaker.delete_endpoint(EndpointName=live)

    assert targets(scaling, live) == []
