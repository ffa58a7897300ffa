"""Models and endpoints of the SageMaker stand-in, and requests to them."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from localcloud.testing import training
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

ROW = "1,2,3,4"


def create_model(sagemaker: SageMakerClient, name: str, url: str, environment: dict[str, str] | None = None) -> None:
    """Create a model of XGBoost.

    Args:
        sagemaker: The client.
        name: The model's name.
        url: The ``s3://`` URI of its archive.
        environment: The container's variables; None for none.
    """
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": training.IMAGE, "ModelDataUrl": url, "Environment": environment or {}},
        ExecutionRoleArn=training.ROLE,
    )


def create_config(sagemaker: SageMakerClient, name: str, **weights: float) -> None:
    """Create an endpoint configuration with one variant for each model.

    Args:
        sagemaker: The client.
        name: The configuration's name.
        **weights: The weights by model; the variants have the names of the models.
    """
    variants = [variant(model, model, InitialVariantWeight=weight) for model, weight in weights.items()]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def variant(name: str, model: str, **changes: Any) -> Any:
    """Return a production variant of one instance.

    Args:
        name: The variant's name.
        model: The model's name.
        **changes: Members that are added or replaced.
    """
    kind = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    return {"VariantName": name, "ModelName": model, **kind, **changes}


def settled(sagemaker: SageMakerClient, name: str) -> Any:
    """Wait until an endpoint is InService or Failed, and return its DescribeEndpoint."""

    def look() -> Any:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
        return endpoint if endpoint["EndpointStatus"] in ("InService", "Failed") else None

    return wait_for(look, what=f"the end of what happens to endpoint {name}")


def invoke(runtime: SageMakerRuntimeClient, endpoint: str, body: str, **headers: Any) -> Any:
    """Invoke an endpoint with a body of CSV.

    Args:
        runtime: The client.
        endpoint: The endpoint's name.
        body: The body.
        **headers: Further members of the request; ContentType replaces that of CSV.
    """
    headers = {"ContentType": "text/csv", **headers}
    return runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **headers)


def as_csv(features: Any) -> str:
    """Return rows of numbers as CSV with four decimals."""
    return "\n".join(",".join(f"{value:.4f}" for value in row) for row in features)


def put_narrow_model(s3: S3Client, bucket: str, key: str, most: float = 1.0) -> str:
    """Put a model of two features into a bucket, and return its URI; it refuses rows of four with status 400.

    Args:
        s3: The client.
        bucket: The bucket.
        key: The key of the archive.
        most: The model's largest answer.
    """
    matrix = xgboost.DMatrix(np.array([[0.0, 0.0], [1.0, 1.0]]), label=np.array([0.0, most]))
    content = bytes(xgboost.train({}, matrix, 1).save_raw("ubj"))
    return put_model(s3, bucket, key, content)


def put_model(s3: S3Client, bucket: str, key: str, content: bytes) -> str:
    """Put an archive with a model's file into a bucket, and return its URI.

    Args:
        s3: The client.
        bucket: The bucket.
        key: The key of the archive.
        content: The bytes of the model's file.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("xgboost-model")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
    return f"s3://{bucket}/{key}"
