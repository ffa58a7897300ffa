"""The quotas that the emulator tells are those that the SageMaker stand-in keeps."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing import training
from localcloud.testing.clouds import Cloud
from localcloud.testing.serving import create_model, variant

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

GPU, CPU = "ml.p3.2xlarge", "ml.m5.large"
SPOT = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}


@pytest.fixture(scope="module")
def quotas(cloud: Cloud) -> Any:
    return cloud.client("service-quotas")


def listed(quotas: Any, operation: str) -> dict[str, float]:
    pages = quotas.get_paginator(operation).paginate(ServiceCode="sagemaker")
    return {each["QuotaName"]: each["Value"] for page in pages for each in page["Quotas"]}


def test_each_usage_of_each_type_has_a_quota(quotas: Any) -> None:
    found = listed(quotas, "list_service_quotas")

    assert found == listed(quotas, "list_aws_default_service_quotas")
    assert len(found) > 500
    for usage in ("training job usage", "spot training job usage", "transform job usage", "endpoint usage"):
        assert (found[f"{CPU} for {usage}"], found[f"{GPU} for {usage}"]) == (20, 0)


def test_one_quota_is_found_by_its_code(quotas: Any) -> None:
    (first, *_) = quotas.list_service_quotas(ServiceCode="sagemaker", MaxResults=1)["Quotas"]

    for get in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
        assert get(ServiceCode="sagemaker", QuotaCode=first["QuotaCode"])["Quota"] == first
    only = quotas.list_service_quotas(ServiceCode="sagemaker", QuotaCode=first["QuotaCode"])
    assert only["Quotas"] == [first]
    assert "NextToken" not in only


@pytest.mark.parametrize(
    ("operation", "members", "code"),
    [
        ("get_service_quota", {"ServiceCode": "sagemaker", "QuotaCode": "L-00000000"}, "NoSuchResourceException"),
        ("list_service_quotas", {"ServiceCode": "ec2"}, "NoSuchResourceException"),
        ("list_service_quotas", {"ServiceCode": "sagemaker", "NextToken": "x"}, "InvalidPaginationTokenException"),
        ("list_services", {}, "UnknownOperationException"),
    ],
)
def test_request_that_can_not_be_answered_is_refused(
    quotas: Any, operation: str, members: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(quotas, operation)(**members)

    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize("body", [b"[]", b"{", b" " * 100_000])
def test_body_that_is_no_request_is_refused(cloud: Cloud, body: bytes) -> None:
    headers = {"X-Amz-Target": "ServiceQuotasV20190624.ListServiceQuotas"}
    request = urllib.request.Request(cloud.endpoint_url, body, headers)

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)

    assert refused.value.code == 400


def refusal(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    return refused.value.response["Error"]["Message"]


def test_training_job_beyond_its_quota_is_refused(sagemaker: SageMakerClient, data: training.Data, name: str) -> None:
    resources = {"InstanceType": GPU, "InstanceCount": 1, "VolumeSizeInGB": 10}
    spot = {"EnableManagedSpotTraining": True, "StoppingCondition": SPOT}

    for usage, more in (("training job usage", {}), ("spot training job usage", spot)):
        message = refusal(
            sagemaker.create_training_job, **training.request(name, data, ResourceConfig=resources, **more)
        )
        assert message.startswith(
            f"The account-level service limit '{GPU} for {usage}' is 0 Instances, with current utilization of 0 "
            "Instances and a request delta of 1 Instances."
        )
    many = {**resources, "InstanceType": CPU, "InstanceCount": 21}
    request = training.request(name, data, ResourceConfig=many)
    assert "is 20 Instances" in refusal(sagemaker.create_training_job, **request)


def test_endpoint_beyond_its_quota_is_refused(sagemaker: SageMakerClient, completed: Any, name: str) -> None:
    create_model(sagemaker, name, completed["ModelArtifacts"]["S3ModelArtifacts"])
    variants = [variant(name, name, InstanceType=GPU)]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)

    message = refusal(sagemaker.create_endpoint, EndpointName=name, EndpointConfigName=name)

    assert f"'{GPU} for endpoint usage' is 0 Instances" in message


def test_transform_job_beyond_its_quota_is_refused(sagemaker: SageMakerClient, completed: Any, name: str) -> None:
    create_model(sagemaker, name, completed["ModelArtifacts"]["S3ModelArtifacts"])
    source: Any = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://any/in/"}}

    message = refusal(
        sagemaker.create_transform_job,
        TransformJobName=name,
        ModelName=name,
        TransformInput={"DataSource": source},
        TransformOutput={"S3OutputPath": "s3://any/out"},
        TransformResources={"InstanceType": GPU, "InstanceCount": 1},
    )

    assert f"'{GPU} for transform job usage' is 0 Instances" in message
