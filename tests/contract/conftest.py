"""Clients of the embedded cloud, and resources that a test has for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import xgboost
from tests.conftest import Cloud

from localcloud.testing import training
from localcloud.testing.serving import create_config, create_model, settled

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

MakeQueue = Callable[..., str]


@pytest.fixture(scope="session")
def s3(cloud: Cloud) -> S3Client:
    client: S3Client = cloud.client("s3")
    return client


@pytest.fixture(scope="session")
def sqs(cloud: Cloud) -> SQSClient:
    client: SQSClient = cloud.client("sqs")
    return client


@pytest.fixture(scope="session")
def sns(cloud: Cloud) -> SNSClient:
    client: SNSClient = cloud.client("sns")
    return client


@pytest.fixture(scope="session")
def ssm(cloud: Cloud) -> SSMClient:
    client: SSMClient = cloud.client("ssm")
    return client


@pytest.fixture(scope="session")
def kinesis(cloud: Cloud) -> KinesisClient:
    client: KinesisClient = cloud.client("kinesis")
    return client


@pytest.fixture(scope="session")
def cloudwatch(cloud: Cloud) -> Any:
    return cloud.client("cloudwatch")


@pytest.fixture(scope="session")
def cloudformation(cloud: Cloud) -> CloudFormationClient:
    client: CloudFormationClient = cloud.client("cloudformation")
    return client


@pytest.fixture
def name(own_name: str) -> str:
    return own_name


@pytest.fixture
def bucket(s3: S3Client, name: str) -> str:
    """A bucket of the test's own."""
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def make_queue(sqs: SQSClient, name: str) -> MakeQueue:
    """Makes queues of the test's own, FIFO by default; returns the URL."""

    def make(suffix: str = "queue", *, fifo: bool = True, **attributes: str) -> str:
        queue = f"{name}-{suffix}" + (".fifo" if fifo else "")
        kind = {"FifoQueue": "true"} if fifo else {}
        requested: Any = kind | attributes
        return sqs.create_queue(QueueName=queue[-80:].lstrip("-"), Attributes=requested)["QueueUrl"]

    return make


def queue_arn(sqs: SQSClient, url: str) -> str:
    """Return the ARN of a queue."""
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


@pytest.fixture(scope="session")
def sagemaker(cloud: Cloud) -> SageMakerClient:
    client: SageMakerClient = cloud.client("sagemaker")
    return client


@pytest.fixture(scope="session")
def runtime(cloud: Cloud) -> SageMakerRuntimeClient:
    client: SageMakerRuntimeClient = cloud.client("sagemaker-runtime")
    return client


@pytest.fixture(scope="session")
def data(s3: S3Client) -> training.Data:
    """Training data that every test may read."""
    return training.put_data(s3, "sagemaker-contract")


@pytest.fixture(scope="session")
def completed(sagemaker: SageMakerClient, data: training.Data) -> Any:
    """DescribeTrainingJob of a job that has completed."""
    name = "a-completed-job"
    sagemaker.create_training_job(**training.request(name, data))
    job = training.finished(sagemaker, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return job


@pytest.fixture(scope="session")
def booster(s3: S3Client, completed: Any) -> xgboost.Booster:
    """The completed job's model."""
    return training.booster_of(s3, completed["ModelArtifacts"]["S3ModelArtifacts"])


@pytest.fixture
def live(sagemaker: SageMakerClient, completed: Any, name: str) -> str:
    """An endpoint of the test's own that serves the completed job's model; its model and config have its name."""
    create_model(sagemaker, name, completed["ModelArtifacts"]["S3ModelArtifacts"])
    create_config(sagemaker, name, **{name: 1.0})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled(sagemaker, name)["EndpointStatus"] == "InService"
    return name
