"""A kill of the stand-in during a deployment."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.serving import create_model, invoke, put_narrow_model, settled, variant
from localcloud.testing.waiting import wait_for

BAKE_SECONDS = 3


def put_endpoint(cloud: Cloud) -> None:
    """An endpoint ``live`` with the configuration ``old``, and a configuration ``new`` with other answers."""
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    s3.create_bucket(Bucket="models")
    for name, most in (("old", 1.0), ("new", 5.0)):
        create_model(sagemaker, name, put_narrow_model(s3, "models", f"{name}.tar.gz", most))
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("all", name)])
    sagemaker.create_endpoint(EndpointName="live", EndpointConfigName="old")
    assert settled(sagemaker, "live")["EndpointStatus"] == "InService"


def answers(cloud: Cloud) -> Counter[str]:
    """Return the answers to ten requests."""
    runtime = cloud.client("sagemaker-runtime")
    return Counter(invoke(runtime, "live", "1,1")["Body"].read().decode() for _ in range(10))


def baking(cloud: Cloud) -> Any:
    endpoint = cloud.client("sagemaker").describe_endpoint(EndpointName="live")
    [pending] = endpoint["PendingDeploymentSummary"]["ProductionVariants"]
    return endpoint if pending["VariantStatus"][0]["Status"] == "Baking" else None


@pytest.mark.chaos
def test_a_deployment_continues_after_a_kill_during_its_bake(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    put_endpoint(cloud)
    [old] = answers(cloud)
    canary = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": BAKE_SECONDS,
    }
    cloud.client("sagemaker").update_endpoint(
        EndpointName="live",
        EndpointConfigName="new",
        DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary}},
    )
    begun = wait_for(lambda: baking(cloud), what="the bake")
    split = answers(cloud)
    assert (split[old], len(split)) == (5, 2)
    localcloud.processes()["sagemaker"].kill()

    cloud = localcloud.up()
    again = wait_for(lambda: baking(cloud), what="the bake after the kill")
    assert (again["EndpointStatus"], again["EndpointConfigName"]) == ("Updating", "old")
    stages = [each["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0] for each in (begun, again)]
    assert stages[0]["StartTime"] < stages[1]["StartTime"], "the bake starts again"
    assert answers(cloud) == split
    after = settled(cloud.client("sagemaker"), "live")
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "new")
    assert set(answers(cloud)) == set(split) - {old}


@pytest.mark.slow
def test_the_last_invocations_before_the_end_are_counted(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    put_endpoint(cloud)
    answers(cloud)
    localcloud.command("down")
    cloudwatch = localcloud.up().client("cloudwatch")
    now = datetime.now(tz=UTC)
    [statistics] = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": "live"}, {"Name": "VariantName", "Value": "all"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=86400,
        Statistics=["Sum"],
    )["Datapoints"]
    assert statistics["Sum"] == 10
