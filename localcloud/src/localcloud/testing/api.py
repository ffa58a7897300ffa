"""The requests of a replay to the stand-in."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import tarfile
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.testing.clouds import Cloud
from localcloud.testing.transcripts import Case, Exchange
from localcloud.testing.waiting import wait_for

_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
_ROLE = "arn:aws:iam::000000000000:role/golden"
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_SECONDS = 300.0


@dataclass(frozen=True)
class Answer:
    """The model's HTTP answer; ``content_type`` is None if the service hides it, as in errors."""

    status: int
    content_type: str | None
    body: bytes


class Api:
    """Trains and serves in a running cloud. Safe to share between threads.

    Args:
        cloud: The cloud.
        bucket: The name of a bucket to create.
    """

    def __init__(self, cloud: Cloud, bucket: str) -> None:
        self._runtime = urllib.parse.urlsplit(cloud.sagemaker_endpoint_url)
        self._s3 = cloud.client("s3")
        self._logs = cloud.client("logs")
        self._sagemaker = cloud.client("sagemaker")
        self._bucket = bucket
        self._s3.create_bucket(Bucket=bucket)

    def upload(self, name: str, case: Case) -> None:
        """Put the files of a case's channels into the bucket.

        Args:
            name: The name of the job that will read them.
            case: The case.
        """
        for channel in case.channels:
            for file in channel.files:
                key = f"{name}/{channel.name}/{file.channel_path}"
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=file.path.read_bytes())

    def train(self, name: str, case: Case) -> Any:
        """Run a training job to its end, and return its DescribeTrainingJob.

        Args:
            name: The name of the job, whose files are uploaded.
            case: The case.

        Raises:
            botocore.exceptions.ClientError: The request is refused.
        """
        self._sagemaker.create_training_job(**self._job(name, case))

        def ended() -> Any:
            job = self._sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        return wait_for(ended, seconds=_SECONDS, what=f"the end of training job {name}")

    def log(self, name: str) -> list[str]:
        """Return the lines of a job's log, with TABs in place of CloudWatch's ``#011``."""
        streams = self._logs.describe_log_streams(logGroupName=_LOG_GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
        return [line for stream in streams for line in self._lines(stream["logStreamName"])]

    def files(self, uri: str) -> dict[str, bytes]:
        """Return the files of a ``.tar.gz`` in S3 by name; none if there is no such object."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return {}
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
            members = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
            return {name: file.read() for name, file in members if file is not None}

    @contextlib.contextmanager
    def endpoint(self, name: str, model_data: str, environment: Mapping[str, str]) -> Iterator[None]:
        """Keep an endpoint in service for as long as the context lasts.

        Args:
            name: The name of the model, the configuration and the endpoint.
            model_data: The ``s3://`` URI of the model.
            environment: The variables of the model's container.
        """
        container = {"Image": _IMAGE, "ModelDataUrl": model_data, "Environment": dict(environment)}
        variant = {
            **{"VariantName": "AllTraffic", "ModelName": name},
            **{"InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": 1.0},
        }
        self._sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=_ROLE)
        self._sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

        def settled() -> Any:
            endpoint = self._sagemaker.describe_endpoint(EndpointName=name)
            return endpoint if endpoint["EndpointStatus"] != "Creating" else None

        endpoint = wait_for(settled, seconds=_SECONDS, what=f"endpoint {name}")
        assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
        try:
            yield
        finally:
            self._sagemaker.delete_endpoint(EndpointName=name)

    def invoke(self, endpoint: str, exchange: Exchange) -> Answer:
        """Send an exchange's request to an endpoint: InvokeEndpoint, or a path of the container's beside it.

        Args:
            endpoint: The endpoint's name.
            exchange: The request.
        """
        headers = {"Content-Type": exchange.content_type, "Accept": exchange.accept}
        connection = http.client.HTTPConnection(self._runtime.netloc, timeout=_SECONDS)
        with contextlib.closing(connection):
            connection.request(
                exchange.method,
                f"/endpoints/{endpoint}{exchange.path}",
                body=exchange.body if exchange.method == "POST" else None,
                headers={name: value for name, value in headers.items() if value is not None},
            )
            response = connection.getresponse()
            body = response.read()
        if response.headers.get("x-amzn-ErrorType") == "ModelError":
            error = json.loads(body)
            return Answer(error["OriginalStatusCode"], None, error["OriginalMessage"].encode())
        return Answer(response.status, response.headers.get("Content-Type"), body)

    def _job(self, name: str, case: Case) -> Any:
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": _IMAGE, "TrainingInputMode": "File"},
            "RoleArn": _ROLE,
            "HyperParameters": dict(case.hyperparameters),
            "InputDataConfig": [
                {
                    "ChannelName": channel.name,
                    "InputMode": channel.input_mode,
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": f"s3://{self._bucket}/{name}/{channel.name}/",
                            "S3DataDistributionType": channel.s3_data_distribution,
                        }
                    },
                    **({} if channel.content_type is None else {"ContentType": channel.content_type}),
                }
                for channel in case.channels
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self._bucket}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": int(_SECONDS)},
        }

    def _lines(self, stream: str) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            page = self._logs.get_log_events(logGroupName=_LOG_GROUP, logStreamName=stream, startFromHead=True, **token)
            if not page["events"]:
                return
            yield from (event["message"].replace("#011", "\t") for event in page["events"])
            token = {"nextToken": page["nextForwardToken"]}
