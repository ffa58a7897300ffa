"""The model registry: groups, versions, approval, and models made of them."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing import training
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


@pytest.fixture
def group(sagemaker: SageMakerClient, name: str) -> str:
    sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="flights")
    return name


def inference(model_data: str) -> Any:
    return {
        "Containers": [
            {
                "Image": training.IMAGE,
                "ModelDataUrl": model_data,
                "Environment": {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label", "OF": "the package"},
            }
        ],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }


@pytest.fixture
def version(sagemaker: SageMakerClient, group: str, completed: Any) -> str:
    return sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification=inference(completed["ModelArtifacts"]["S3ModelArtifacts"]),
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/quality"}}},
        CustomerMetadataProperties={"commit": "abc", "job": "a-completed-job"},
    )["ModelPackageArn"]


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    body = error.value.response["Error"]
    return body["Code"], body["Message"]


def test_a_group_is_described_and_named_once(sagemaker: SageMakerClient, group: str) -> None:
    described = sagemaker.describe_model_package_group(ModelPackageGroupName=f"{ARN}:model-package-group/{group}")
    assert described["ModelPackageGroupName"] == group
    assert described["ModelPackageGroupArn"] == f"{ARN}:model-package-group/{group}"
    assert described["ModelPackageGroupDescription"] == "flights"
    assert described["ModelPackageGroupStatus"] == "Completed"
    with pytest.raises(ClientError) as error:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    assert refusal(error) == (
        "ValidationException",
        f"Model Package Group already exists: {ARN}:model-package-group/{group}",
    )


def test_a_new_version_is_pending_approval(sagemaker: SageMakerClient, group: str, version: str) -> None:
    described = sagemaker.describe_model_package(ModelPackageName=version)
    assert version == f"{ARN}:model-package/{group}/1"
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["CustomerMetadataProperties"] == {"commit": "abc", "job": "a-completed-job"}
    assert described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] == "s3://b/quality"
    sagemaker.update_model_package(
        ModelPackageArn=version,
        ModelApprovalStatus="Approved",
        ApprovalDescription="passed its gate",
        CustomerMetadataProperties={"auc": ".72"},
        CustomerMetadataPropertiesToRemove=["job"],
    )
    approved = sagemaker.describe_model_package(ModelPackageName=version)
    assert (approved["ModelApprovalStatus"], approved["ApprovalDescription"]) == ("Approved", "passed its gate")
    assert approved["CustomerMetadataProperties"] == {"commit": "abc", "auc": ".72"}
    assert approved["LastModifiedTime"] > described["CreationTime"]


def test_versions_are_numbered_and_a_number_is_used_once(
    sagemaker: SageMakerClient, group: str, version: str, completed: Any
) -> None:
    made = [
        sagemaker.create_model_package(ModelPackageGroupName=group, ModelApprovalStatus=status)["ModelPackageArn"]
        for status in ("Approved", "Rejected")
    ]
    assert made == [f"{ARN}:model-package/{group}/{number}" for number in (2, 3)]
    sagemaker.delete_model_package(ModelPackageName=made[1])
    assert sagemaker.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"].endswith("/4")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert [each["ModelPackageVersion"] for each in listed] == [1, 2, 4]
    newest = sagemaker.list_model_packages(
        ModelPackageGroupName=group, ModelApprovalStatus="PendingManualApproval", SortOrder="Descending", MaxResults=1
    )
    assert [each["ModelPackageVersion"] for each in newest["ModelPackageSummaryList"]] == [4]
    assert "NextToken" in newest


def test_a_repeated_request_creates_nothing_new(sagemaker: SageMakerClient, group: str) -> None:
    def create(token: str) -> str:
        return sagemaker.create_model_package(ModelPackageGroupName=group, ClientToken=token)["ModelPackageArn"]

    tokens = [str(uuid.uuid4()) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        arns = set(pool.map(create, [tokens[0]] * 8))
    assert arns == {f"{ARN}:model-package/{group}/1"}
    assert create(tokens[1]) == f"{ARN}:model-package/{group}/2"
    assert "ClientToken" not in sagemaker.describe_model_package(ModelPackageName=f"{ARN}:model-package/{group}/1")


def test_a_group_with_versions_is_not_deleted(sagemaker: SageMakerClient, group: str, version: str) -> None:
    with pytest.raises(sagemaker.exceptions.ConflictException, match=f"it still contains Model Packages: {version}"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    sagemaker.delete_model_package(ModelPackageName=version)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError) as error:
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert refusal(error) == (
        "ValidationException",
        f"ModelPackageGroup {ARN}:model-package-group/{group} does not exist.",
    )


def test_a_package_has_either_a_group_or_a_name(sagemaker: SageMakerClient, group: str, name: str) -> None:
    with pytest.raises(ClientError, match=r"Both ModelPackageName and ModelPackageGroupName are provided in the input"):
        sagemaker.create_model_package(ModelPackageGroupName=group, ModelPackageName=name)
    with pytest.raises(ClientError, match=r"Missing ARN\."):
        sagemaker.create_model_package()
    with pytest.raises(ClientError, match=r"ModelPackageGroup \S+/does-not-exist does not exist"):
        sagemaker.create_model_package(ModelPackageGroupName="does-not-exist")
    arn = sagemaker.create_model_package(ModelPackageName=name)["ModelPackageArn"]
    assert sagemaker.describe_model_package(ModelPackageName=name)["ModelPackageArn"] == arn
    with pytest.raises(sagemaker.exceptions.ConflictException):
        sagemaker.create_model_package(ModelPackageName=name)
    unversioned = sagemaker.list_model_packages(NameContains=name)["ModelPackageSummaryList"]
    assert [each["ModelPackageArn"] for each in unversioned] == [arn]


def test_model_data_has_to_exist(sagemaker: SageMakerClient, group: str) -> None:
    with pytest.raises(ClientError, match=r"Could not find model data at s3://bucket/without/this\.tar\.gz\."):
        sagemaker.create_model_package(
            ModelPackageGroupName=group, InferenceSpecification=inference("s3://bucket/without/this.tar.gz")
        )


def test_only_an_approved_package_is_served(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, version: str, name: str
) -> None:
    def create() -> None:
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=training.ROLE,
            PrimaryContainer={
                "ModelPackageName": version,
                "Environment": {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probability"},
            },
        )

    with pytest.raises(
        ClientError, match=r"its ModelApprovalStatus is PendingManualApproval, and has to be Approved\."
    ):
        create()
    sagemaker.update_model_package(ModelPackageArn=version, ModelApprovalStatus="Approved")
    create()
    sagemaker.update_model_package(ModelPackageArn=version, ModelApprovalStatus="Rejected")  # serves what it was then
    variant: Any = {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    wait_for(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
    answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=b"1,1,-1,0")["Body"].read()
    label, probability = answer.decode().split(",")
    assert label == "1"
    assert float(probability) > 0.5


def test_a_container_of_many_models_is_refused(sagemaker: SageMakerClient, completed: Any, name: str) -> None:
    model_data = completed["ModelArtifacts"]["S3ModelArtifacts"]
    container: Any = {"Image": training.IMAGE, "ModelDataUrl": model_data, "Mode": "MultiModel"}
    with pytest.raises(ClientError, match=r"Mode MultiModel: this stand-in serves one model a container\."):
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=training.ROLE, PrimaryContainer=container)
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=training.ROLE, PrimaryContainer=container | {"Mode": "SingleModel"}
    )
