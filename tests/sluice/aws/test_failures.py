"""One place decides what is transient, refused or absent, by the answers that AWS really gives."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from sluice.aws.failures import Failure, explain, failure, is_declined, is_transient, patiently
from sluice.errors import ConflictingWrite, MissingResource


def answered(
    code: str, message: str = "", status: int = 400, call: str = "describe_endpoint", **parameters: Any
) -> ClientError:
    """Return the error that boto3 raises on such an answer."""
    client = boto3.client(
        "sagemaker",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    answer = AWSResponse("http://aws", status, {"x-amzn-errortype": code}, None)
    answer._content = json.dumps({"__type": code, "message": message}).encode()
    client.meta.events.register("before-send", lambda **_: answer)
    with pytest.raises(ClientError) as raised:
        getattr(client, call)(**(parameters or {"EndpointName": "e"}))
    return raised.value


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("Throttling", 400),
        ("RequestLimitExceeded", 400),
        ("TooManyRequests", 400),
        ("TooManyRequestsException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("RequestThrottled", 403),
        ("SlowDown", 503),
        ("ExpiredToken", 400),
        ("ExpiredTokenException", 403),
        ("RequestExpired", 400),
        ("RequestTimeout", 400),
        ("AnUnknownCode", 429),
        ("AnUnknownCode", 500),
        ("InternalDependencyException", 530),
    ],
)
def test_busy_service_and_expired_token_are_transient(code: str, status: int) -> None:
    error = answered(code, "Rate exceeded", status)

    assert failure(error) is Failure.TRANSIENT
    assert is_transient(error)


def test_all_errors_that_botocore_retries_are_transient() -> None:
    codes = {*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES}

    assert {code for code in codes if not is_transient(answered(code))} == set()


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("ValidationException", 'Could not find endpoint "arn".', 400, Failure.ABSENT),
        ("ValidationException", "Requested resource not found.", 400, Failure.ABSENT),
        ("ValidationError", "Stack with id sluice-x does not exist", 400, Failure.ABSENT),
        ("ResourceNotFound", "", 400, Failure.ABSENT),
        ("ValidationException", "1 validation error detected: Value 'a b' at 'endpointName'", 400, Failure.REFUSED),
        ("ValidationException", 'Cannot update in-progress endpoint "arn".', 400, Failure.TRANSIENT),
        ("ValidationException", 'Cannot create already existing model "in-progress".', 400, Failure.REFUSED),
        ("ResourceLimitExceeded", "The account-level service limit", 400, Failure.REFUSED),
        ("AccessDeniedException", "not authorized", 400, Failure.REFUSED),
        ("UnrecognizedClientException", "The security token included in the request is invalid", 400, Failure.REFUSED),
        ("ModelError", "Received server error (500) from primary", 424, Failure.REFUSED),
    ],
)
def test_absent_and_refused_are_distinguished(code: str, message: str, status: int, kind: Failure) -> None:
    assert failure(answered(code, message, status)) is kind


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (EndpointConnectionError(endpoint_url="http://aws"), True),
        (ReadTimeoutError(endpoint_url="http://aws"), True),
        (ParamValidationError(report="no such member"), False),
        (NoRegionError(), False),
        (ConflictingWrite("another writer"), True),
        (MissingResource("gone"), False),
        (ValueError("x"), False),
    ],
)
def test_call_without_an_answer_is_transient_unless_it_was_never_sent(error: Exception, passes: bool) -> None:
    assert is_transient(error) is passes


def test_only_an_answer_proves_that_a_call_was_declined() -> None:
    assert is_declined(answered("ThrottlingException"))
    assert not is_declined(answered("InternalFailure", status=500))
    assert not is_declined(ReadTimeoutError(endpoint_url="http://aws"))


TRAINING = {
    "TrainingJobName": "j",
    "RoleArn": "arn:aws:iam::000000000000:role/training",
    "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "i"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


@pytest.mark.parametrize(
    ("code", "next_action"),
    [
        (
            "AccessDeniedException",
            "check the credentials, and what they allow (for workers: the stack's WorkerPolicy)",
        ),
        ("ExpiredTokenException", "renew the credentials"),
        ("ThrottlingException", "AWS is busy or unavailable: try again"),
        ("ResourceNotFound", "check the region, and that `sluice provision` and the earlier DAGs made it"),
        (
            "ModelError",
            "the model that is deployed failed on this request: see the endpoint's CloudWatch log for the cause",
        ),
    ],
)
def test_each_refusal_names_its_own_next_action(code: str, next_action: str) -> None:
    assert explain(answered(code, "so\n it is")) == f"AWS refused DescribeEndpoint ({code}: so it is); {next_action}"


def test_quota_names_the_setting() -> None:
    refused = answered("ResourceLimitExceeded", "limit is 0", call="create_training_job", **TRAINING)

    assert explain(refused) == (
        "AWS refused CreateTrainingJob (ResourceLimitExceeded: limit is 0); set another instance_type of the candidate "
        "in the pipeline's declaration, or request a higher quota in AWS Service Quotas"
    )


def test_patience_has_a_limit() -> None:
    failures: list[BotoCoreError] = [ReadTimeoutError(endpoint_url="http://aws") for _ in range(2)]

    def call() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert patiently(call, seconds=60) == "done"
    failures.append(ReadTimeoutError(endpoint_url="http://aws"))
    with pytest.raises(ReadTimeoutError):
        patiently(call, seconds=0)
    failures.append(NoRegionError())
    with pytest.raises(NoRegionError):
        patiently(call, seconds=60)
