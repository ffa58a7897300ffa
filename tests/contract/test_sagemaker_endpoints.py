"""What Sluice relies on in SageMaker's models and endpoints, checked against the stand-in."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from botocore.exceptions import ClientError

from localcloud.testing import training
from localcloud.testing.serving import as_csv, create_config, create_model, invoke, put_model, settled
from localcloud.testing.training import Data
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


def test_endpoint_answers_with_the_boosters_own_predictions(
    runtime: SageMakerRuntimeClient, live: str, booster: xgboost.Booster, data: Data
) -> None:
    features = data.validation[:50, 1:]
    expected = training.predictions(booster, features)
    answer = invoke(runtime, live, as_csv(features))
    assert answer["ContentType"] == "text/csv; charset=utf-8"
    assert answer["InvokedProductionVariant"] == live
    assert answer["Body"].read().decode() == "".join(f"{score}\n" for score in expected)


def test_json_and_libsvm_give_the_same_scores(
    runtime: SageMakerRuntimeClient, live: str, booster: xgboost.Booster, data: Data
) -> None:
    features = data.validation[:3, 1:]
    expected = training.predictions(booster, features)
    libsvm = "\n".join(" ".join(f"{column}:{value}" for column, value in enumerate(row)) for row in features)
    answer = invoke(runtime, live, libsvm, ContentType="text/libsvm", Accept="application/json")
    assert answer["ContentType"] == "application/json"
    assert json.loads(answer["Body"].read()) == {"predictions": [{"score": score} for score in expected]}


def test_missing_value_is_missing_to_the_booster(
    runtime: SageMakerRuntimeClient, live: str, booster: xgboost.Booster
) -> None:
    expected = training.predictions(booster, np.array([[np.nan, 0.5, np.nan, 0.1]]))
    assert invoke(runtime, live, ",0.5,,0.1")["Body"].read().decode() == f"{expected[0]}\n"


@pytest.mark.parametrize(
    ("body", "headers", "status", "expected"),
    [
        ("1,2,3,4,5", {}, 400, "Number of columns does not match number of features in booster."),
        ('{"instances": []}', {"ContentType": "application/json"}, 415, "is not an accepted ContentType: csv, libsvm"),
        ("a,b,c,d", {}, 415, "could not convert string to float"),
        ("1,2,3,4", {"Accept": "text/html"}, 406, "Accept type text/html is not supported."),
    ],
    ids=["too many columns", "content type", "not a number", "accept"],
)
def test_request_that_the_model_refuses_is_a_model_error(
    runtime: SageMakerRuntimeClient, live: str, body: str, headers: dict[str, str], status: int, expected: str
) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        invoke(runtime, live, body, **headers)
    answer: Any = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert expected in answer["OriginalMessage"]
    assert answer["Error"]["Message"].startswith(f'Received client error ({status}) from primary with message "')
    assert live in answer["LogStreamArn"]


def test_empty_body_gets_an_empty_answer(runtime: SageMakerRuntimeClient, live: str) -> None:
    answer = invoke(runtime, live, "")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert answer["Body"].read() == b""


def test_unknown_endpoint_is_not_found(runtime: SageMakerRuntimeClient, sagemaker: SageMakerClient) -> None:
    with pytest.raises(ClientError, match=r"\(ValidationError\).*Endpoint missing of account \d{12} not found\."):
        invoke(runtime, "missing", "1,2,3,4")
    for call in (sagemaker.describe_endpoint, sagemaker.delete_endpoint):
        with pytest.raises(ClientError, match=r'\(ValidationException\).*Could not find endpoint "arn:.*/missing"\.'):
            call(EndpointName="missing")


def test_requests_are_distributed_by_weight_or_sent_to_the_target(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, completed: Any, name: str
) -> None:
    url = completed["ModelArtifacts"]["S3ModelArtifacts"]
    for variant in ("share-large", "share-small"):
        create_model(sagemaker, variant, url)
    create_config(sagemaker, name, **{"share-large": 3.0, "share-small": 1.0})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settled(sagemaker, name)
    answered = Counter(invoke(runtime, name, "1,2,3,4")["InvokedProductionVariant"] for _ in range(20))
    assert answered == {"share-large": 15, "share-small": 5}
    targeted = invoke(runtime, name, "1,2,3,4", TargetVariant="share-small")
    assert targeted["InvokedProductionVariant"] == "share-small"
    with pytest.raises(ClientError, match="Variant missing not found"):
        invoke(runtime, name, "1,2,3,4", TargetVariant="missing")


def test_update_switches_to_the_new_configuration(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, completed: Any, live: str
) -> None:
    new = f"{live[:50]}-new"
    create_model(sagemaker, new, completed["ModelArtifacts"]["S3ModelArtifacts"])
    create_config(sagemaker, new, **{new: 1.0})
    sagemaker.update_endpoint(EndpointName=live, EndpointConfigName=new)
    endpoint = settled(sagemaker, live)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", new)
    assert [variant["VariantName"] for variant in endpoint["ProductionVariants"]] == [new]
    assert invoke(runtime, live, "1,2,3,4")["InvokedProductionVariant"] == new


def test_update_that_fails_rolls_back_to_the_old_configuration(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, s3: S3Client, data: Data, live: str
) -> None:
    new = f"{live[:50]}-new"
    s3.put_object(Bucket=data.bucket, Key=f"{new}/model.tar.gz", Body=b"")
    create_model(sagemaker, new, f"s3://{data.bucket}/{new}/model.tar.gz")
    s3.delete_object(Bucket=data.bucket, Key=f"{new}/model.tar.gz")
    create_config(sagemaker, new, **{new: 1.0})
    sagemaker.update_endpoint(EndpointName=live, EndpointConfigName=new)
    endpoint = settled(sagemaker, live)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", live)
    assert endpoint["FailureReason"].startswith("Failed to download model data for container")
    assert invoke(runtime, live, "1,2,3,4")["InvokedProductionVariant"] == live


@pytest.mark.parametrize("content", [b"", b"not an archive"], ids=["empty", "garbage"])
def test_endpoint_without_a_usable_model_fails(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, s3: S3Client, data: Data, name: str, content: bytes
) -> None:
    s3.put_object(Bucket=data.bucket, Key=f"{name}/model.tar.gz", Body=content)
    create_model(sagemaker, name, f"s3://{data.bucket}/{name}/model.tar.gz")
    create_config(sagemaker, name, **{name: 1.0})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    endpoint = settled(sagemaker, name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"].startswith("Failed to extract model data archive")
    with pytest.raises(ClientError, match="not found"):
        invoke(runtime, name, "1,2,3,4")
    with pytest.raises(ClientError, match="Cannot update endpoint"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.delete_endpoint(EndpointName=name)
    wait_for(lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"], what="the deletion")


def damaged(kind: str) -> bytes:
    """Return a model whose file ends the process that loads it, or the one that predicts with it."""
    if kind == "empty":
        return b""
    rows = np.random.default_rng(1).random((50, 4))
    model = json.loads(xgboost.train({}, xgboost.DMatrix(rows, label=rows[:, 0]), 1).save_raw("json"))
    model["learner"]["gradient_booster"]["model"]["trees"][0]["right_children"][0] = 0
    return json.dumps(model).encode()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("empty", "its process ended with signal SIGABRT"), ("cyclic", "tree 0: it has children beyond")],
)
def test_model_that_crashes_fails_its_endpoint_and_nothing_else(
    sagemaker: SageMakerClient,
    runtime: SageMakerRuntimeClient,
    s3: S3Client,
    data: Data,
    live: str,
    kind: str,
    expected: str,
) -> None:
    broken = f"{live[:40]}-{kind}"
    url = put_model(s3, data.bucket, f"{broken}/model.tar.gz", damaged(kind))
    create_model(sagemaker, broken, url)
    create_config(sagemaker, broken, **{broken: 1.0})
    sagemaker.create_endpoint(EndpointName=broken, EndpointConfigName=broken)
    endpoint = settled(sagemaker, broken)
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"].startswith(
        f"The primary container for production variant {broken} did not pass the ping health check."
    )
    assert expected in endpoint["FailureReason"]
    sagemaker.update_endpoint(EndpointName=live, EndpointConfigName=broken)
    endpoint = settled(sagemaker, live)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", live)
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    assert invoke(runtime, live, "1,2,3,4")["InvokedProductionVariant"] == live


def test_body_that_is_too_large_has_the_error_of_the_service(runtime: SageMakerRuntimeClient, live: str) -> None:
    with pytest.raises(ClientError, match=r"\(413\).*HTTP content length exceeded 6291456 bytes\.$"):
        invoke(runtime, live, "1" * 6_291_457)


def test_model_without_data_is_not_served(sagemaker: SageMakerClient, name: str) -> None:
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": training.IMAGE}, ExecutionRoleArn=training.ROLE)
    create_config(sagemaker, name, **{name: 1.0})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    endpoint = settled(sagemaker, name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert f"Model {name} has no ModelDataUrl" in endpoint["FailureReason"]


def test_deleted_endpoint_is_gone_and_its_name_is_free(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, live: str
) -> None:
    sagemaker.delete_endpoint(EndpointName=live)
    wait_for(lambda: not sagemaker.list_endpoints(NameContains=live)["Endpoints"], what="the deletion")
    with pytest.raises(ClientError, match="not found"):
        invoke(runtime, live, "1,2,3,4")
    sagemaker.create_endpoint(EndpointName=live, EndpointConfigName=live)
    assert settled(sagemaker, live)["EndpointStatus"] == "InService"


def test_endpoint_survives_its_model_and_configuration(
    sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient, live: str
) -> None:
    sagemaker.delete_endpoint_config(EndpointConfigName=live)
    sagemaker.delete_model(ModelName=live)
    assert invoke(runtime, live, "1,2,3,4")["InvokedProductionVariant"] == live


def test_names_are_used_once(sagemaker: SageMakerClient, completed: Any, live: str) -> None:
    with pytest.raises(ClientError, match=r'Cannot create already existing model "arn:.*:model/'):
        create_model(sagemaker, live, completed["ModelArtifacts"]["S3ModelArtifacts"])
    with pytest.raises(ClientError, match=r'Cannot create already existing endpoint configuration "arn:'):
        create_config(sagemaker, live, **{live: 1.0})
    with pytest.raises(ClientError, match=r'Cannot create already existing endpoint "arn:.*:endpoint/'):
        sagemaker.create_endpoint(EndpointName=live, EndpointConfigName=live)


def test_missing_resource_is_named(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    with pytest.raises(ClientError, match=rf"Could not find model data at s3://{data.bucket}/nothing\."):
        create_model(sagemaker, name, f"s3://{data.bucket}/nothing")
    with pytest.raises(ClientError, match=r'Could not find model "arn:.*:model/missing"\.'):
        create_config(sagemaker, name, missing=1.0)
    with pytest.raises(ClientError, match=r'Could not find endpoint configuration "arn:.*:endpoint-config/missing"\.'):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="missing")


def test_models_and_configurations_are_described_and_listed(
    sagemaker: SageMakerClient, completed: Any, live: str
) -> None:
    model = sagemaker.describe_model(ModelName=live)
    assert model["PrimaryContainer"]["ModelDataUrl"] == completed["ModelArtifacts"]["S3ModelArtifacts"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=live)
    assert config["ProductionVariants"][0]["ModelName"] == live
    assert [each["ModelArn"] for each in sagemaker.list_models(NameContains=live)["Models"]] == [model["ModelArn"]]
    listed = sagemaker.list_endpoint_configs(NameContains=live)["EndpointConfigs"]
    assert [each["EndpointConfigArn"] for each in listed] == [config["EndpointConfigArn"]]
