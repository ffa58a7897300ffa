"""Requests to the SageMaker stand-in, and a small data set that a model can learn."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xgboost

from localcloud.testing.clouds import Cloud
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
ROLE = "arn:aws:iam::000000000000:role/training-role"
FEATURES = 4
ENDLESS = {"num_round": "100000000", "nthread": "1"}


@dataclass(frozen=True)
class Data:
    """A bucket with the channels ``train`` and ``validation`` as CSV.

    Attributes:
        bucket: The bucket's name.
        validation: The rows of the channel ``validation``, the label first.
    """

    bucket: str
    validation: npt.NDArray[np.float64]

    def uri(self, channel: str) -> str:
        """Return the ``s3://`` URI of a channel."""
        return f"s3://{self.bucket}/data/{channel}/"


def rows(seed: int, count: int) -> npt.NDArray[np.float64]:
    """Return rows x (label, features); mostly, the label is 1 where the first two features outweigh the third.

    Args:
        seed: Of the random numbers.
        count: How many rows.
    """
    random = np.random.default_rng(seed)
    features = random.uniform(-1, 1, (count, FEATURES)).round(4)
    noise = random.normal(0, 0.3, count)
    label = features[:, 0] + features[:, 1] > features[:, 2] + noise
    return np.column_stack([label.astype(float), features])


def csv(table: npt.NDArray[np.float64]) -> bytes:
    """Return rows as CSV with four decimals."""
    text = io.StringIO()
    np.savetxt(text, table, fmt="%.4f", delimiter=",")
    return text.getvalue().encode()


def put_data(s3: S3Client, bucket: str) -> Data:
    """Create a bucket with training and validation data."""
    s3.create_bucket(Bucket=bucket)
    validation = rows(2, 200)
    s3.put_object(Bucket=bucket, Key="data/train/part-0.csv", Body=csv(rows(1, 500)))
    s3.put_object(Bucket=bucket, Key="data/train/more/part-1.csv", Body=csv(rows(3, 100)))
    s3.put_object(Bucket=bucket, Key="data/validation/part-0.csv", Body=csv(validation))
    return Data(bucket, validation)


def request(name: str, data: Data, hyperparameters: Mapping[str, str] = {}, **changes: Any) -> Any:
    """Return a CreateTrainingJob request of XGBoost.

    Args:
        name: The job's name.
        data: The data to train on.
        hyperparameters: Hyperparameters that are added or replaced.
        **changes: Members that replace those of the request.
    """
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "HyperParameters": {
            "objective": "binary:logistic",
            "num_round": "12",
            "max_depth": "3",
            "eval_metric": "auc,logloss",
            **hyperparameters,
        },
        "InputDataConfig": [channel("train", data.uri("train")), channel("validation", data.uri("validation"))],
        "OutputDataConfig": {"S3OutputPath": f"s3://{data.bucket}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


def channel(name: str, uri: str, content_type: str = "text/csv") -> dict[str, Any]:
    """Return a channel of a CreateTrainingJob request.

    Args:
        name: The channel's name.
        uri: The ``s3://`` URI of its prefix.
        content_type: The content type.
    """
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "ContentType": content_type, "DataSource": {"S3DataSource": source}}


def finished(sagemaker: SageMakerClient, name: str, *, seconds: float = 60.0) -> Any:
    """Wait until a job is over, at most so many ``seconds``, and return its DescribeTrainingJob."""

    def look() -> Any:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_for(look, seconds=seconds, what=f"the end of job {name}")


def reached(sagemaker: SageMakerClient, name: str, secondary: str) -> None:
    """Wait until a job is in a secondary status."""

    def look() -> bool:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        assert job["TrainingJobStatus"] in ("InProgress", "Stopping"), job.get("FailureReason")
        return job["SecondaryStatus"] == secondary

    wait_for(look, what=f"{secondary} of job {name}")


def log_of(cloud: Cloud, name: str) -> list[str]:
    """Return the lines of a job's log so far, as CloudWatch has them."""
    logs = cloud.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)[
            "events"
        ]
    ]


def trains(cloud: Cloud, name: str) -> None:
    """Wait until a job has done its first round."""
    wait_for(lambda: any(line.startswith("[0]#011") for line in log_of(cloud, name)), what=f"a round of {name}")


def archive_of(s3: S3Client, uri: str) -> dict[str, bytes]:
    """Return the files of a ``.tar.gz`` in S3, by name."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def booster_of(s3: S3Client, artefact: str) -> xgboost.Booster:
    """Return the model of a ``model.tar.gz`` in S3, read by the xgboost of the test's environment."""
    files = archive_of(s3, artefact)
    assert list(files) == ["xgboost-model"], "every other file would be loaded as a model too"
    booster = xgboost.Booster()
    booster.load_model(bytearray(files["xgboost-model"]))
    return booster


def predictions(booster: xgboost.Booster, features: npt.NDArray[np.float64]) -> list[float]:
    """Return the model's score of each row of features."""
    scores: list[float] = booster.predict(xgboost.DMatrix(features)).tolist()
    return scores
