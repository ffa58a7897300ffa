"""Embedded clouds, their clients, and resources for one test."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xgboost
from hypothesis import HealthCheck, settings

from localcloud.testing import training
from localcloud.testing.clouds import Cloud, LocalCloud, free_ports, running_cloud
from localcloud.testing.fargate import IMAGES, Fargate
from localcloud.testing.serving import create_config, create_model, settled

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

# How long an example takes says nothing about what it shows: a machine may be slow.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# The emulator pins its botocore, so the cloud may have another environment than the tests.
_BESIDE = Path(__file__).resolve().parents[2] / ".venv-cloud/bin/python"
PYTHON = _BESIDE if _BESIDE.exists() else Path(sys.executable)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded cloud for the session (under xdist, for the worker), stopped at its end."""
    with running_cloud(tmp_path_factory.mktemp("cloud"), PYTHON, IMAGES) as cloud:
        yield cloud


@pytest.fixture
def localcloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """An embedded cloud for one test, stopped at its end."""
    yield from _localcloud(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An embedded cloud that the tests of a module share; each leaves it running."""
    yield from _localcloud(tmp_path_factory.mktemp("shared"))


def _localcloud(folder: Path) -> Iterator[LocalCloud]:
    cloud = LocalCloud(folder / "state", *free_ports(2), PYTHON, IMAGES)
    yield cloud
    cloud.command("down")


@pytest.fixture(scope="session")
def s3(cloud: Cloud) -> S3Client:
    client: S3Client = cloud.client("s3")
    return client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, valid for every service: at most 50 lower-case letters, digits and dashes."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:41].strip("-")
    return f"{words}-{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def bucket(s3: S3Client, name: str) -> str:
    """A bucket for one test."""
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def fargate(cloud: Cloud, name: str) -> Fargate:
    """A cluster for one test, and what its tasks need."""
    return Fargate(cloud, name)


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
    """The DescribeTrainingJob of a job that has completed."""
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
    """An endpoint for one test that serves the completed job's model; its model and config have its name."""
    create_model(sagemaker, name, completed["ModelArtifacts"]["S3ModelArtifacts"])
    create_config(sagemaker, name, **{name: 1.0})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled(sagemaker, name)["EndpointStatus"] == "InService"
    return name
