"""The control plane's protocol: requests that no client of AWS sends, and what every answer has."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from localcloud.testing import training
from localcloud.testing.clouds import Cloud
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


@dataclass(frozen=True)
class Answer:
    status: int
    content: dict[str, Any]


def send(cloud: Cloud, operation: str, **request: Any) -> Answer:
    """Send a request without the checks of a client."""
    address = urlsplit(cloud.sagemaker_endpoint_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.request("POST", "/", json.dumps(request), {"X-Amz-Target": f"SageMaker.{operation}"})
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read() or b"{}"))
    finally:
        connection.close()


def test_members_of_other_operations_are_ignored(cloud: Cloud, data: training.Data, name: str) -> None:
    assert send(cloud, "ListModels", LastModifiedTimeAfter=0, StatusEquals="x").status == 200
    job: Any = training.request(name, data)
    assert send(cloud, "CreateTrainingJob", SecondaryStatusTransitions=5, **job).status == 200
    assert send(cloud, "CreateModelPackageGroup", ModelPackageGroupName=name, Versions="x").status == 200
    created = send(cloud, "CreateModelPackage", ModelPackageGroupName=name)
    assert created == Answer(200, {"ModelPackageArn": f"{ARN}:model-package/{name}/1"})


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**request)
    body = error.value.response["Error"]
    return body["Code"], body["Message"]


def test_a_taken_name_is_taken_in_every_case(
    sagemaker: SageMakerClient, data: training.Data, live: str, name: str
) -> None:
    """The ARN is in lower case, and the API reference of EndpointName says so."""
    upper, variant = live.upper(), {"VariantName": "v", "ModelName": live.upper(), "InitialInstanceCount": 1}
    container = {"Image": training.IMAGE}
    assert refused(
        sagemaker.create_model, ModelName=upper, ExecutionRoleArn=training.ROLE, PrimaryContainer=container
    ) == ("ValidationException", f'Cannot create already existing model "{ARN}:model/{name}".')
    assert refused(
        sagemaker.create_endpoint_config,
        EndpointConfigName=upper,
        ProductionVariants=[variant | {"InstanceType": "ml.m5.large"}],
    ) == (
        "ValidationException",
        f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/{name}".',
    )
    assert refused(sagemaker.create_endpoint, EndpointName=upper, EndpointConfigName=upper) == (
        "ValidationException",
        f'Cannot create already existing endpoint "{ARN}:endpoint/{name}".',
    )
    sagemaker.create_model_package_group(ModelPackageGroupName=upper)
    assert refused(sagemaker.create_model_package_group, ModelPackageGroupName=name) == (
        "ValidationException",
        f"Model Package Group already exists: {ARN}:model-package-group/{name}",
    )
    assert sagemaker.create_model_package(ModelPackageGroupName=name)["ModelPackageArn"].endswith(f"/{name}/1")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]
    assert [each["ModelPackageGroupName"] for each in listed] == [upper]


def test_a_job_and_an_endpoint_are_ended_in_every_case(
    sagemaker: SageMakerClient, data: training.Data, live: str, name: str
) -> None:
    sagemaker.create_training_job(**training.request(name, data, training.ENDLESS))
    sagemaker.stop_training_job(TrainingJobName=name.upper())
    assert training.finished(sagemaker, name)["TrainingJobStatus"] == "Stopped"
    sagemaker.delete_training_job(TrainingJobName=name.upper())
    assert sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"] == []
    assert sagemaker.describe_endpoint(EndpointName=live.upper())["EndpointName"] == live
    assert refused(sagemaker.update_endpoint, EndpointName=live.upper(), EndpointConfigName=live.upper()) == (
        "ValidationException",
        f'Cannot update endpoint with the currently in use endpoint configuration "{live}".',
    )
    sagemaker.delete_endpoint(EndpointName=live.upper())
    wait_for(lambda: not sagemaker.list_endpoints(NameContains=live)["Endpoints"])


def test_every_answer_has_an_id_of_its_own(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, live: str
) -> None:
    def request_id(call: Callable[..., Any], **request: Any) -> Any:
        try:
            return call(**request)
        except ClientError as error:
            return error.response

    answers = [
        request_id(sagemaker.list_models),
        request_id(sagemaker.list_models),
        request_id(sagemaker.describe_model, ModelName="does-not-exist"),
        request_id(runtime.invoke_endpoint, EndpointName=live, ContentType="text/csv", Body=b"1,2,3,4"),
        request_id(runtime.invoke_endpoint, EndpointName="does-not-exist", Body=b"1"),
    ]
    statuses = [answer["ResponseMetadata"]["HTTPStatusCode"] for answer in answers]
    ids = {uuid.UUID(answer["ResponseMetadata"]["RequestId"]) for answer in answers}
    assert statuses == [200, 200, 400, 200, 400]
    assert len(ids) == len(answers)
