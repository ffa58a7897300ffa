"""Jobs and endpoints of Linear Learner."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from localcloud.sagemaker.algorithms.linear_learner.model import LinearModel
from localcloud.testing import training
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"

Array = npt.NDArray[Any]


def csv(*columns: Array) -> bytes:
    """Return CSV rows of these columns, each of one dimension or two, as text that reads as the same float32."""
    table = np.column_stack(columns).astype(np.float32)
    text = io.BytesIO()
    pa.csv.write_csv(
        pa.table(list(table.T), names=[str(number) for number in range(table.shape[1])]),
        text,
        pa.csv.WriteOptions(include_header=False),
    )
    return text.getvalue()


@dataclass(frozen=True)
class Jobs:
    """Runs jobs of Linear Learner on data in a bucket."""

    s3: S3Client
    sagemaker: SageMakerClient
    runtime: SageMakerRuntimeClient
    bucket: str

    def start(
        self,
        name: str,
        hyperparameters: Mapping[str, str],
        channels: Mapping[str, bytes],
        content_type: str | None = "text/csv",
        **changes: Any,
    ) -> None:
        """Put the data into the bucket, and create a job.

        Args:
            name: The job's name.
            hyperparameters: The hyperparameters.
            channels: The content of each channel's one file, by channel.
            content_type: The content type of all channels; None for none.
            **changes: Members that replace those of the request.
        """
        for channel, content in channels.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"{name}/{channel}/part-0", Body=content)
        configured = [
            training.channel(each, f"s3://{self.bucket}/{name}/{each}/", content_type or "") for each in channels
        ]
        if content_type is None:
            for each in configured:
                del each["ContentType"]
        request = training.request(
            name,
            training.Data(self.bucket, np.empty(0)),
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            HyperParameters=dict(hyperparameters),
            InputDataConfig=configured,
        )
        self.sagemaker.create_training_job(**{**request, **changes})

    def finished(self, name: str) -> Any:
        """Wait until the job is over, and return its DescribeTrainingJob."""
        return training.finished(self.sagemaker, name)

    def completed(
        self, name: str, hyperparameters: Mapping[str, str], channels: Mapping[str, bytes], **changes: Any
    ) -> Any:
        """Run a job that has to complete, and return its DescribeTrainingJob; the arguments are those of `start`."""
        self.start(name, hyperparameters, channels, **changes)
        job = self.finished(name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        return job

    def model(self, job: Any, folder: Path) -> LinearModel:
        """Read a job's model without the stand-in.

        Args:
            job: The DescribeTrainingJob of a job that completed.
            folder: A folder for the model's file.
        """
        files = training.archive_of(self.s3, job["ModelArtifacts"]["S3ModelArtifacts"])
        assert list(files) == ["model_algo-1"]
        path = folder / "model_algo-1"
        path.write_bytes(files["model_algo-1"])
        return LinearModel.load(path)

    def create_model(self, name: str, job: Any) -> None:
        """Create a model in SageMaker.

        Args:
            name: The model's name.
            job: The DescribeTrainingJob of a job that completed.
        """
        self.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]},
            ExecutionRoleArn=training.ROLE,
        )

    def deploy(self, job: Any) -> str:
        """Deploy a completed job's model, wait until it is in service, and return the endpoint's name."""
        name = job["TrainingJobName"]
        self.create_model(name, job)
        variant: Any = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "InitialVariantWeight": 1.0,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

        def look() -> bool:
            endpoint = self.sagemaker.describe_endpoint(EndpointName=name)
            assert endpoint["EndpointStatus"] in ("Creating", "InService"), endpoint.get("FailureReason")
            return endpoint["EndpointStatus"] == "InService"

        wait_for(look, what=f"endpoint {name}")
        return str(name)

    def predictions(self, endpoint: str, features: Array) -> list[dict[str, Any]]:
        """Return an endpoint's predictions for rows sent as CSV, without an Accept header.

        Args:
            endpoint: The endpoint's name.
            features: Rows x features.
        """
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=csv(features), ContentType="text/csv")
        assert answer["ContentType"] == "application/json"
        predictions: list[dict[str, Any]] = json.loads(answer["Body"].read())["predictions"]
        return predictions
