"""Endpoint configurations: what they may hold, that they never change, and how they are described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.serving import ROW, create_model, invoke, settled, variant

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 10}


@pytest.fixture(scope="session")
def model(sagemaker: SageMakerClient, completed: Any) -> str:
    """A model that any configuration may name."""
    create_model(sagemaker, "model-of-configs", completed["ModelArtifacts"]["S3ModelArtifacts"])
    return "model-of-configs"


def serverless(name: str, model: str, **config: Any) -> Any:
    return {"VariantName": name, "ModelName": model, "ServerlessConfig": SERVERLESS | config}


def create(sagemaker: SageMakerClient, name: str, *variants: Any, **members: Any) -> None:
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants), **members)


def test_configuration_is_described_as_it_was_made(sagemaker: SageMakerClient, model: str, name: str) -> None:
    requested = variant("a", model, VolumeSizeInGB=10, RoutingConfig={"RoutingStrategy": "RANDOM"})
    capture = {"EnableCapture": False, "InitialSamplingPercentage": 10, "DestinationS3Uri": "s3://bucket/captured"}
    members: Any = {
        "DataCaptureConfig": {**capture, "CaptureOptions": [{"CaptureMode": "Input"}]},
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/serving",
        "KmsKeyId": "alias/serving",
    }
    create(sagemaker, name, requested, variant("b", model, InitialVariantWeight=3.0), **members)
    described: Any = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert {member: described[member] for member in members} == members
    assert described["ProductionVariants"] == [
        requested | {"InitialVariantWeight": 1.0},
        variant("b", model, InitialVariantWeight=3.0),
    ]
    assert described["EndpointConfigArn"].endswith(f":endpoint-config/{name}")


def test_endpoint_reports_that_its_data_capture_is_off(sagemaker: SageMakerClient, model: str, name: str) -> None:
    capture: Any = {
        "EnableCapture": False,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://bucket/captured",
        "KmsKeyId": "alias/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    metrics: Any = {"EnableEnhancedMetrics": False}
    create(sagemaker, name, variant("a", model), DataCaptureConfig=capture, MetricsConfig=metrics)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described: Any = settled(sagemaker, name)
    assert described["DataCaptureConfig"] == {
        "EnableCapture": False,
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": 10,
        "DestinationS3Uri": "s3://bucket/captured",
        "KmsKeyId": "alias/capture",
    }
    assert described["MetricsConfig"] == metrics


def test_configuration_can_not_be_changed(sagemaker: SageMakerClient, model: str, name: str) -> None:
    create(sagemaker, name, variant("a", model))
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        create(sagemaker, name, variant("b", model))
    [kept] = sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    assert kept["VariantName"] == "a"


def of_instances(**changes: Any) -> Any:
    """Return a variant of instances; a change to None leaves a member out."""
    changed = variant("a", "model-of-configs") | changes
    return {member: value for member, value in changed.items() if value is not None}


MEMBERS: dict[str, Any] = {
    "DataCaptureConfig": {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    },
    "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bucket/answers"}},
    "ShadowProductionVariants": [variant("shadow", "model-of-configs")],
    "ExplainerConfig": {
        "ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {"ShapBaselineUri": "s3://bucket/baseline"}}}
    },
}


@pytest.mark.parametrize(
    ("variants", "members", "message"),
    [
        ([of_instances(), of_instances()], {}, "names must be unique"),
        ([of_instances(InstanceType=None)], {}, "Value null at 'productionVariants.1.member.instanceType'"),
        (
            [of_instances(), of_instances(VariantName="b", InitialInstanceCount=None)],
            {},
            "Value null at 'productionVariants.2.member.initialInstanceCount'",
        ),
        ([of_instances(InstanceType="ml.huge")], {}, "Member must satisfy enum value set"),
        ([of_instances(InitialVariantWeight=1e39)], {}, "weight of variant a must be at most 3.4"),
        ([of_instances(ModelName=None)], {}, "has no inference components"),
        ([of_instances(ModelName="missing")], {}, 'Could not find model "arn:.*:model/missing"'),
        ([of_instances(VariantName="bad_name")], {}, "Member must satisfy regular expression pattern"),
        ([of_instances(VariantName=f"v{each}") for each in range(11)], {}, "length less than or equal to 10"),
        ([of_instances(ServerlessConfig=SERVERLESS)], {}, "can't have both ServerlessConfig and InstanceType"),
        ([serverless("a", "model-of-configs", MemorySizeInMB=1500)], {}, "MemorySizeInMB of variant a must be one of"),
        ([serverless("a", "model-of-configs", ProvisionedConcurrency=11)], {}, "more than its MaxConcurrency, 10"),
        (
            [serverless("a", "model-of-configs"), serverless("b", "model-of-configs")],
            {},
            "can only have one production variant",
        ),
        ([of_instances(ManagedInstanceScaling={"Status": "ENABLED"})], {}, "only supported for inference component"),
        ([of_instances(AcceleratorType="ml.eia1.medium")], {}, "this stand-in has no Elastic Inference"),
        *(([of_instances()], {member: MEMBERS[member]}, f"{member}: this stand-in") for member in MEMBERS),
    ],
    ids=[
        *("names", "no type", "no count", "type", "weight", "no model", "unknown model", "pattern", "eleven", "both"),
        *("memory", "concurrency", "serverless twice", "scaling", "accelerator", *MEMBERS),
    ],
)
def test_invalid_configuration_is_refused(
    sagemaker: SageMakerClient, model: str, name: str, variants: list[Any], members: Any, message: str
) -> None:
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        create(sagemaker, name, *variants, **members)
    assert not sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]


def test_ten_variants_and_a_serverless_variant_are_served(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, model: str, name: str
) -> None:
    create(sagemaker, name, *(variant(f"v{each}", model) for each in range(10)))
    create(sagemaker, f"{name[:50]}-less", serverless("all", model))
    for each in (name, f"{name[:50]}-less"):
        sagemaker.create_endpoint(EndpointName=each, EndpointConfigName=each)
        assert settled(sagemaker, each)["EndpointStatus"] == "InService"
    answered = {invoke(runtime, name, ROW)["InvokedProductionVariant"] for _ in range(10)}
    assert answered == {f"v{each}" for each in range(10)}
    assert invoke(runtime, f"{name[:50]}-less", ROW)["InvokedProductionVariant"] == "all"
