"""The metrics of invocations in CloudWatch."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.sagemaker.hosting.test_fleet import Echo

from localcloud.sagemaker.data import aws
from localcloud.sagemaker.hosting.fleet import Variant
from localcloud.sagemaker.hosting.invocation_metrics import InvocationMetrics
from localcloud.sagemaker.hosting.runtime import Invoked
from localcloud.testing.clouds import Cloud, free_ports
from localcloud.testing.serving import ROW, create_model, invoke, settled, variant
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


@pytest.fixture(scope="session")
def cloudwatch(cloud: Cloud) -> Any:
    return cloud.client("cloudwatch")


def statistics(cloudwatch: Any, metric: str, **dimensions: str) -> Any:
    """Return the statistics of the last hour; empty if there is no data."""
    now = datetime.now(tz=UTC)
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=86400,
        Statistics=["SampleCount", "Sum", "Average", "Minimum", "Maximum"],
        ExtendedStatistics=["p50"],
    )["Datapoints"]
    return points[0] if points else {}


def sums(cloudwatch: Any, metrics: list[str], **dimensions: str) -> list[float | None]:
    return [statistics(cloudwatch, metric, **dimensions).get("Sum") for metric in metrics]


COUNTED = [
    *("Invocations", "InvocationsPerInstance"),
    *("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"),
]


def test_the_invocations_of_each_variant_are_counted(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, cloudwatch: Any, completed: Any, name: str
) -> None:
    create_model(sagemaker, name, completed["ModelArtifacts"]["S3ModelArtifacts"])
    variants = [variant("a", name, InitialInstanceCount=2), variant("b", name)]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker, name)
    for _ in range(4):
        invoke(runtime, name, ROW, TargetVariant="a")
    for body in ("1,2,3,4,5", "a,b,c,d"):
        with pytest.raises(ClientError):
            invoke(runtime, name, body, TargetVariant="a")
    with pytest.raises(ClientError, match=r"server error \(500\)"):
        invoke(runtime, name, ROW, TargetVariant="a", Accept="application/jsonlines")
    with pytest.raises(ClientError, match="ValidationError"):
        invoke(runtime, name, ROW, TargetVariant="unknown")
    invoke(runtime, name, ROW, TargetVariant="b")
    of_a = {"EndpointName": name, "VariantName": "a"}
    wait_for(
        lambda: (
            statistics(cloudwatch, "Invocations", **of_a).get("SampleCount") == 7
            and statistics(cloudwatch, "Invocations", EndpointName=name, VariantName="b")
        ),
        what="the invocations in CloudWatch",
    )
    assert sums(cloudwatch, COUNTED, **of_a) == [7.0, 3.5, 2.0, 1.0, 3.0]
    assert sums(cloudwatch, COUNTED, **of_a, EndpointConfigName=name) == [7.0, 3.5, 2.0, 1.0, 3.0]
    assert sums(cloudwatch, COUNTED, EndpointName=name, VariantName="b") == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert statistics(cloudwatch, "Invocation4XXErrors", **of_a)["Average"] == pytest.approx(2 / 7), (
        "the rate of errors"
    )
    for metric in ("ModelLatency", "OverheadLatency"):
        latency = statistics(cloudwatch, metric, **of_a)
        assert (latency["SampleCount"], latency["Unit"]) == (7.0, "Microseconds")
        assert 1 <= latency["Minimum"] <= latency["ExtendedStatistics"]["p50"] <= latency["Maximum"] < 5_000_000


def recorded(metrics: InvocationMetrics, variant: Variant, *statuses: int, seconds: float = 0.002) -> None:
    for status in statuses:
        metrics.record(Invoked("e", variant, status, seconds, overhead_seconds=0.0005))


def test_each_status_counts_as_its_error(cloud: Cloud, cloudwatch: Any, name: str) -> None:
    metrics = InvocationMetrics(aws.cloudwatch_client(cloud.endpoint_url))
    metrics.start()
    recorded(metrics, Variant(name, 1.0, Echo(), instances=4, config=name), 200, 204, 302, 400, 429, 500, 503)
    metrics.close()
    dimensions = {"EndpointName": "e", "VariantName": name}
    assert sums(cloudwatch, COUNTED, **dimensions) == [7.0, 1.75, 2.0, 2.0, 5.0]
    latency = statistics(cloudwatch, "ModelLatency", **dimensions)
    assert (latency["Minimum"], latency["Maximum"], latency["SampleCount"]) == (2000.0, 2000.0, 7.0)
    assert statistics(cloudwatch, "OverheadLatency", **dimensions)["Sum"] == 3500.0


def test_a_serverless_variant_has_no_invocations_per_instance(cloud: Cloud, cloudwatch: Any, name: str) -> None:
    metrics = InvocationMetrics(aws.cloudwatch_client(cloud.endpoint_url))
    metrics.start()
    recorded(metrics, Variant(name, 1.0, Echo(), instances=0, config=name), 200)
    metrics.close()
    assert sums(cloudwatch, COUNTED[:2], EndpointName="e", VariantName=name) == [1.0, None]


def test_many_different_latencies_are_reported_with_two_digits(cloud: Cloud, cloudwatch: Any, name: str) -> None:
    metrics = InvocationMetrics(aws.cloudwatch_client(cloud.endpoint_url))
    one = Variant(name, 1.0, Echo(), config=name)
    for micros in range(1, 20_001):
        recorded(metrics, one, 200, seconds=micros / 1e6)
    metrics.start()
    metrics.close()
    latency = statistics(cloudwatch, "ModelLatency", EndpointName="e", VariantName=name)
    assert latency["SampleCount"] == 20_000
    assert latency["Average"] == pytest.approx(10_000, rel=0.01)
    assert latency["ExtendedStatistics"]["p50"] == pytest.approx(10_000, rel=0.05)


def test_invocations_of_many_threads_are_all_counted(cloud: Cloud, cloudwatch: Any, name: str) -> None:
    metrics = InvocationMetrics(aws.cloudwatch_client(cloud.endpoint_url))
    one = Variant(name, 1.0, Echo(), config=name)
    metrics.start()
    threads = [threading.Thread(target=recorded, args=(metrics, one, *[200] * 500)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    metrics.close()
    assert statistics(cloudwatch, "Invocations", EndpointName="e", VariantName=name)["Sum"] == 4000


def test_the_log_reports_once_that_cloudwatch_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    metrics = InvocationMetrics(aws.cloudwatch_client(f"http://127.0.0.1:{free_ports(1)[0]}"))
    with caplog.at_level(logging.WARNING):
        for each in range(300):
            recorded(metrics, Variant(f"v{each}", 1.0, Echo(), config="c"), 200)
        metrics.start()
        metrics.close()
    [warning] = [each for each in caplog.messages if "metrics of invocations are lost" in each]
    assert "Could not connect" in warning
