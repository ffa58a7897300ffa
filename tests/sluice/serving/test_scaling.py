"""The instances of an endpoint follow the requests, as declared, and keep doing so over deployments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.plugins.faults import refused
from tests.sluice.serving.live import Live, at_endpoint, deploy, settled

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.declaration import Autoscaling, Serverless
from sluice.serving.deployment import Done, Failed
from sluice.serving.endpoint import find_endpoint
from sluice.serving.records import last_proven
from sluice.serving.scaling import Scaling, find_scaling
from sluice.workspace import Workspace

SCALES = Autoscaling(most=4, requests=600, wait=timedelta(seconds=30))


@pytest.fixture
def own(own_name: str, live: Live, cloud: Cloud) -> Iterator[Workspace]:
    """The toy with an endpoint of the test's own, which scales, and is deleted in the end."""
    endpoint = f"e-{own_name}"[:46].strip("-")
    yield declared(at_endpoint(live.workspace, endpoint), autoscaling=SCALES)
    settled(live.workspace, endpoint)
    if find_endpoint(live.workspace, endpoint) is not None:
        cloud.client("sagemaker").delete_endpoint(EndpointName=endpoint)


def declared(workspace: Workspace, **members: Any) -> Workspace:
    """Return the workspace with other members of its deployment."""
    deployment = replace(workspace.pipeline.require_deployment(), **members)
    return replace(workspace, pipeline=replace(workspace.pipeline, deployment=deployment))


def described(cloud: Cloud, workspace: Workspace) -> tuple[Any, Any]:
    """Return the target and the policy of the endpoint's variant, read without the library."""
    client = cloud.client("application-autoscaling")
    resource = f"endpoint/{workspace.pipeline.require_deployment().endpoint}/variant/primary"
    targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"]
    policies = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)["ScalingPolicies"]
    return (targets[0] if targets else None), (policies[0] if policies else None)


def instances(cloud: Cloud, workspace: Workspace) -> int:
    name = workspace.pipeline.require_deployment().endpoint
    (variant,) = cloud.client("sagemaker").describe_endpoint(EndpointName=name)["ProductionVariants"]
    return int(variant["CurrentInstanceCount"])


def scale_out(cloud: Cloud, workspace: Workspace, count: int) -> None:
    """Start instances as Application Auto Scaling does when requests become more."""
    name = workspace.pipeline.require_deployment().endpoint
    cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": count}]
    )
    settled(workspace, name)


def test_endpoint_scales_as_declared(cloud: Cloud, live: Live, own: Workspace) -> None:
    done = deploy(own, live.target(own, live.model))

    assert isinstance(done, Done)
    assert done.record.scales
    target, policy = described(cloud, own)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "TargetValue": 600.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": 30,
        "ScaleInCooldown": 30,
    }


def test_new_model_gets_the_instances_that_the_old_one_had(cloud: Cloud, live: Live, own: Workspace) -> None:
    deploy(own, live.target(own, live.model))
    scale_out(cloud, own, 3)

    assert isinstance(deploy(own, live.target(own, live.other)), Done)

    assert instances(cloud, own) == 3
    assert find_scaling(own) == Scaling(1, 4, 600.0, 30)


def test_type_of_the_instances_may_change(cloud: Cloud, live: Live, own: Workspace) -> None:
    deploy(own, live.target(own, live.model))
    other = declared(own, instance_type="ml.c5.large")

    assert isinstance(deploy(other, live.target(other, live.model)), Done)

    assert find_scaling(other) == Scaling(1, 4, 600.0, 30)


def test_other_bounds_change_neither_the_configuration_nor_the_record(live: Live, own: Workspace) -> None:
    first = deploy(own, live.target(own, live.model))
    wider = declared(own, autoscaling=replace(SCALES, most=6))

    assert deploy(wider, live.target(wider, live.model)) == first

    assert find_scaling(wider) == Scaling(1, 6, 600.0, 30)


def test_same_deployment_again_changes_nothing(live: Live, own: Workspace) -> None:
    target, calls = live.target(own, live.model), list[str]()
    deploy(own, target)
    counting = replace(own, aws=Aws(own.aws.session, own.aws.endpoint))
    for service in ("application-autoscaling", "sagemaker"):
        counting.aws.client(service).meta.events.register("before-call", lambda model, **_: calls.append(model.name))

    assert isinstance(deploy(counting, target), Done)

    assert "DescribeScalableTargets" in calls
    assert not [call for call in calls if not call.startswith("Describe")]


def test_endpoint_stops_to_scale_if_it_is_declared_no_more(cloud: Cloud, live: Live, own: Workspace) -> None:
    deploy(own, live.target(own, live.model))
    scale_out(cloud, own, 3)
    fixed = declared(own, autoscaling=None)

    done = deploy(fixed, live.target(fixed, live.model))

    assert isinstance(done, Done)
    assert not done.record.scales
    assert described(cloud, own) == (None, None)
    assert deploy(fixed, live.target(fixed, live.model)) == done
    deploy(own, live.target(own, live.model))
    assert isinstance(deploy(fixed, live.target(fixed, live.other)), Done)
    assert (described(cloud, own), instances(cloud, own)) == ((None, None), 1)


def test_what_served_before_scales_again_after_a_failure(live: Live, own: Workspace) -> None:
    deploy(own, live.target(own, live.model))
    wrong = live.target(own, live.other).model_copy(update={"model": live.model})

    failed = deploy(own, wrong)

    assert isinstance(failed, Failed)
    assert "(rolled back: " in failed.reason
    assert find_scaling(own) == Scaling(1, 4, 600.0, 30)


def test_way_back_to_a_serverless_endpoint_ends_the_scaling(cloud: Cloud, live: Live, own: Workspace) -> None:
    serverless = declared(own, autoscaling=None, serverless=Serverless())
    before = live.target(serverless, live.model)
    assert isinstance(deploy(serverless, before), Done)
    assert isinstance(deploy(own, live.target(own, live.other)), Done)

    back = deploy(own, before)

    assert isinstance(back, Done), back
    assert not back.record.scales
    assert described(cloud, own) == (None, None)
    assert deploy(own, before) == back


def test_scaling_that_failed_halfway_leaves_none_behind(
    cloud: Cloud, live: Live, own: Workspace, one_attempt: None
) -> None:
    """GIVEN a first deployment that scales, whose policy is refused THEN what served before has no bounds either."""
    fixed = declared(own, autoscaling=None)
    deploy(fixed, live.target(fixed, live.model))
    denied = replace(own, aws=Aws(own.aws.session, own.aws.endpoint))
    denied.aws.client("application-autoscaling").meta.events.register(
        "before-send.application-autoscaling.PutScalingPolicy",
        lambda **_: refused("AccessDeniedException", "is not authorized"),
    )

    failed = deploy(denied, live.target(denied, live.other))

    assert isinstance(failed, Failed)
    assert "AWS refused PutScalingPolicy" in failed.reason
    assert described(cloud, own) == (None, None)


def test_refused_scaling_undoes_the_deployment(live: Live, own: Workspace, one_attempt: None) -> None:
    """GIVEN workers that may not scale THEN the first deployment leaves no endpoint, and says why."""
    denied = replace(own, aws=Aws(own.aws.session, own.aws.endpoint))
    denied.aws.client("application-autoscaling").meta.events.register(
        "before-send", lambda **_: refused("AccessDeniedException", "is not authorized")
    )

    failed = deploy(denied, live.target(denied, live.model))

    assert isinstance(failed, Failed)
    assert "AWS refused DescribeScalableTargets (AccessDeniedException: is not authorized)" in failed.reason
    name = own.pipeline.require_deployment().endpoint
    wait_for(lambda: find_endpoint(own, name) is None, what="no endpoint")
    assert last_proven(own.lake, name) is None
