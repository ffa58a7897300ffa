"""Updates of endpoints: traffic that is shifted in steps, alarms that roll back, weights and capacities."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.serving import ROW, create_model, invoke, put_narrow_model, settled, variant
from localcloud.testing.training import Data
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


@pytest.fixture
def pair(sagemaker: SageMakerClient, completed: Any, name: str) -> tuple[str, str]:
    """An endpoint on a configuration of its own name, and a second configuration; both of one variant ``all``."""
    new = f"{name[:50]}-new"
    url = completed["ModelArtifacts"]["S3ModelArtifacts"]
    for each in (name, new):
        create_model(sagemaker, each, url)
        put_config(sagemaker, each, [variant("all", each, InitialInstanceCount=2)])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled(sagemaker, name)["EndpointStatus"] == "InService"
    return name, new


def put_config(sagemaker: SageMakerClient, name: str, variants: list[Any]) -> None:
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def shifting(kind: str, wait: int, alarms: tuple[str, ...] = (), **size: Any) -> Any:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **size}
    watched = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **watched}


HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}


def put_error_alarm(cloudwatch: Any, name: str, endpoint: str, config: str) -> None:
    """Create an alarm for more than one refusal by the fleet of a configuration within ten seconds."""
    dimensions = {"EndpointName": endpoint, "VariantName": "all", "EndpointConfigName": config}
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation4XXErrors",
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )


@contextmanager
def traffic(runtime: SageMakerRuntimeClient, endpoint: str) -> Iterator[Counter[str]]:
    """Send requests from two clients while the context lasts; yield the counts of answers and errors."""
    counts: Counter[str] = Counter()
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            try:
                invoke(runtime, endpoint, ROW)["Body"].read()
                counts["answered"] += 1
            except ClientError as error:
                counts[error.response["Error"]["Code"]] += 1

    clients = [threading.Thread(target=send) for _ in range(2)]
    for each in clients:
        each.start()
    try:
        yield counts
    finally:
        over.set()
        for each in clients:
            each.join()


def test_bad_model_is_rolled_back_because_of_its_errors(
    sagemaker: SageMakerClient,
    runtime: SageMakerRuntimeClient,
    cloudwatch: Any,
    s3: S3Client,
    data: Data,
    pair: tuple[str, str],
) -> None:
    endpoint, _ = pair
    bad = f"{endpoint[:50]}-bad"
    create_model(sagemaker, bad, put_narrow_model(s3, data.bucket, f"{bad}/model.tar.gz"))
    put_config(sagemaker, bad, [variant("all", bad, InitialInstanceCount=2)])
    put_error_alarm(cloudwatch, bad, endpoint, bad)
    config = shifting("CANARY", 60, (bad,), CanarySize=HALF)
    with traffic(runtime, endpoint) as counts:
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=bad, DeploymentConfig=config)
        after = settled(sagemaker, endpoint)
    assert counts["ModelError"] > 1, "the canary received traffic"
    assert set(counts) == {"answered", "ModelError"}
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", endpoint)
    assert "went into the ALARM state" in after["FailureReason"]
    assert bad in after["FailureReason"]
    assert "PendingDeploymentSummary" not in after
    for _ in range(10):
        invoke(runtime, endpoint, ROW)


def test_no_request_is_lost_while_traffic_is_shifted(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, pair: tuple[str, str]
) -> None:
    endpoint, new = pair
    config = shifting("LINEAR", 1, LinearStepSize=HALF)
    with traffic(runtime, endpoint) as counts:
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=config)
        after = settled(sagemaker, endpoint)
        assert (after["EndpointConfigName"], after.get("FailureReason")) == (new, None)
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)
        settled(sagemaker, endpoint)
    assert set(counts) == {"answered"}
    assert counts["answered"] > 20


def test_long_bake_blocks_nothing_else(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, pair: tuple[str, str]
) -> None:
    endpoint, new = pair
    config = shifting("CANARY", 3600, CanarySize=HALF)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=config)
    other = f"{endpoint[:50]}-other"
    sagemaker.create_endpoint(EndpointName=other, EndpointConfigName=endpoint)
    assert settled(sagemaker, other)["EndpointStatus"] == "InService"
    sagemaker.update_endpoint(EndpointName=other, EndpointConfigName=new)
    assert settled(sagemaker, other)["EndpointConfigName"] == new
    invoke(runtime, other, ROW)
    assert sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating"


def test_old_configuration_is_shown_and_changes_are_refused_while_a_canary_bakes(
    sagemaker: SageMakerClient, pair: tuple[str, str]
) -> None:
    endpoint, new = pair
    config = shifting("CANARY", 2, CanarySize={"Type": "INSTANCE_COUNT", "Value": 1})
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=config)

    def baking() -> Any:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
        [pending] = described["PendingDeploymentSummary"]["ProductionVariants"]
        return described if pending["VariantStatus"][0]["Status"] == "Baking" else None

    described = wait_for(baking, what="the bake")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", endpoint)
    assert [each["CurrentInstanceCount"] for each in described["ProductionVariants"]] == [2]
    summary = described["PendingDeploymentSummary"]
    assert summary["EndpointConfigName"] == new
    assert summary["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert described["LastDeploymentConfig"] == config
    weights: Any = [{"VariantName": "all", "DesiredWeight": 2.0}]
    for refused in (
        lambda: sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new),
        lambda: sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=endpoint, DesiredWeightsAndCapacities=weights
        ),
        lambda: sagemaker.delete_endpoint(EndpointName=endpoint),
    ):
        with pytest.raises(ClientError, match=r'\(ValidationException\).*Cannot update in-progress endpoint "arn:'):
            refused()
    after = settled(sagemaker, endpoint)
    assert (after["EndpointConfigName"], after["ProductionVariants"][0]["CurrentInstanceCount"]) == (new, 2)


@pytest.mark.parametrize(
    "config",
    [
        shifting("ALL_AT_ONCE", 0),
        shifting("CANARY", 0, CanarySize=HALF),
        shifting("LINEAR", 0, LinearStepSize={"Type": "INSTANCE_COUNT", "Value": 1}),
        {"RollingUpdatePolicy": {"MaximumBatchSize": HALF, "WaitIntervalInSeconds": 0}},
    ],
    ids=["all at once", "canary", "linear", "rolling"],
)
def test_every_way_of_shifting_traffic_ends_with_the_new_configuration(
    sagemaker: SageMakerClient, pair: tuple[str, str], config: Any
) -> None:
    endpoint, new = pair
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=config)
    after = settled(sagemaker, endpoint)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", new)
    assert after["LastDeploymentConfig"] == config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (shifting("CANARY", 0, ("missing",), CanarySize=HALF), "Could not find the CloudWatch alarms .*: missing"),
        (
            shifting("CANARY", 0, tuple(f"alarm-{each}" for each in range(11)), CanarySize=HALF),
            "alarms.*length less than or equal to 10",
        ),
        (shifting("CANARY", 0), "CanarySize is required"),
        (shifting("CANARY", 0, CanarySize={"Type": "INSTANCE_COUNT", "Value": 2}), "less than or equal to 50%"),
        (shifting("LINEAR", 0, LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 5}), "between 10% and 50%"),
        (shifting("CANARY", 3601, CanarySize=HALF), "waitIntervalInSeconds.*less than or equal to 3600"),
        (shifting("BLUE", 0), "satisfy enum value set"),
    ],
    ids=["alarm", "eleven alarms", "no canary", "canary of all", "step too small", "wait too long", "kind"],
)
def test_invalid_deployment_config_is_refused(
    sagemaker: SageMakerClient, pair: tuple[str, str], config: Any, message: str
) -> None:
    endpoint, new = pair
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=config)
    assert sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"


def test_configuration_in_use_is_refused(sagemaker: SageMakerClient, pair: tuple[str, str]) -> None:
    endpoint, _ = pair
    with pytest.raises(ClientError, match="Cannot update endpoint with the currently in use endpoint configuration"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)


def test_retained_deployment_config_is_used_again(sagemaker: SageMakerClient, pair: tuple[str, str]) -> None:
    endpoint, new = pair
    config = shifting("CANARY", 0, CanarySize=HALF)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=config)
    settled(sagemaker, endpoint)
    with pytest.raises(ClientError, match="can't be specified together"):
        sagemaker.update_endpoint(
            EndpointName=endpoint, EndpointConfigName=endpoint, DeploymentConfig=config, RetainDeploymentConfig=True
        )
    put_config(sagemaker, f"{endpoint[:50]}-other", [variant("renamed", endpoint)])
    with pytest.raises(ClientError, match="variants of the same names"):
        sagemaker.update_endpoint(
            EndpointName=endpoint, EndpointConfigName=f"{endpoint[:50]}-other", RetainDeploymentConfig=True
        )
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint[:50]}-other")
    after = settled(sagemaker, endpoint)
    assert [each["VariantName"] for each in after["ProductionVariants"]] == ["renamed"]
    assert after["LastDeploymentConfig"] == config


@pytest.fixture
def two(sagemaker: SageMakerClient, completed: Any, name: str) -> str:
    """An endpoint with the variants ``a`` and ``b``, one instance and the same weight each."""
    create_model(sagemaker, name, completed["ModelArtifacts"]["S3ModelArtifacts"])
    put_config(sagemaker, name, [variant("a", name), variant("b", name)])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker, name)
    return name


def adjust(sagemaker: SageMakerClient, endpoint: str, **changes: dict[str, Any]) -> Any:
    desired: Any = [{"VariantName": each, **change} for each, change in changes.items()]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=desired)
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert [each["DesiredWeight"] for each in described["ProductionVariants"]] == [
        change.get("DesiredWeight", 1.0) for change in changes.values()
    ]
    return settled(sagemaker, endpoint)


def capacities(endpoint: Any) -> list[tuple[str, float, float, int, int]]:
    return [
        (
            *(each["VariantName"], each["CurrentWeight"], each["DesiredWeight"]),
            *(each["CurrentInstanceCount"], each["DesiredInstanceCount"]),
        )
        for each in endpoint["ProductionVariants"]
    ]


def answers(runtime: SageMakerRuntimeClient, endpoint: str, count: int) -> Counter[str]:
    return Counter(invoke(runtime, endpoint, ROW)["InvokedProductionVariant"] for _ in range(count))


def test_weights_and_capacities_change_and_traffic_follows(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, two: str
) -> None:
    assert answers(runtime, two, 10) == {"a": 5, "b": 5}
    after = adjust(sagemaker, two, a={"DesiredWeight": 4.0, "DesiredInstanceCount": 3}, b={"DesiredWeight": 1.0})
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", two)
    assert capacities(after) == [("a", 4.0, 4.0, 3, 3), ("b", 1.0, 1.0, 1, 1)]
    assert answers(runtime, two, 20) == {"a": 16, "b": 4}
    adjust(sagemaker, two, a={"DesiredWeight": 0.0}, b={"DesiredWeight": 1.0})
    assert answers(runtime, two, 5) == {"b": 5}
    assert invoke(runtime, two, ROW, TargetVariant="a")["InvokedProductionVariant"] == "a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"VariantName": "missing", "DesiredWeight": 1.0}, "Could not find variant missing"),
        ({"VariantName": "a", "DesiredInstanceCount": 0}, "must be at least 1"),
        ({"VariantName": "a", "ServerlessUpdateConfig": {"MaxConcurrency": 1}}, "is not serverless"),
    ],
    ids=["unknown", "none", "serverless"],
)
def test_invalid_change_of_capacity_is_refused(sagemaker: SageMakerClient, two: str, change: Any, message: str) -> None:
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sagemaker.update_endpoint_weights_and_capacities(EndpointName=two, DesiredWeightsAndCapacities=[change])
    assert capacities(sagemaker.describe_endpoint(EndpointName=two)) == [
        ("a", 1.0, 1.0, 1, 1),
        ("b", 1.0, 1.0, 1, 1),
    ]


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ([], (4.0, 3)),
        (["DesiredWeight"], (2.0, 3)),
        (["DesiredInstanceCount"], (4.0, 5)),
    ],
    ids=["all", "but the weight", "but the instances"],
)
def test_update_retains_the_variants_properties(
    sagemaker: SageMakerClient, two: str, excluded: list[str], expected: tuple[float, int]
) -> None:
    adjust(sagemaker, two, a={"DesiredWeight": 4.0, "DesiredInstanceCount": 3}, b={})
    new = f"{two[:50]}-new"
    requested: Any = [
        variant("a", two, InitialVariantWeight=2.0, InitialInstanceCount=5),
        variant("c", two, InitialVariantWeight=7.0, InitialInstanceCount=6),
    ]
    put_config(sagemaker, new, requested)
    sagemaker.update_endpoint(
        EndpointName=two,
        EndpointConfigName=new,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": each} for each in excluded],  # type: ignore[typeddict-item]
    )
    kept, added = settled(sagemaker, two)["ProductionVariants"]
    assert (kept["CurrentWeight"], kept["CurrentInstanceCount"]) == expected
    assert (added["CurrentWeight"], added["CurrentInstanceCount"]) == (7.0, 6)
