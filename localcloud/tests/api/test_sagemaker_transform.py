"""Batch transform jobs: each row has its score at its place; and the effect of a bad record."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from botocore.exceptions import ClientError

from localcloud.testing import training
from localcloud.testing.clouds import Cloud
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

Transform = Callable[..., Any]
ROWS = training.rows(7, 50)[:, 1:]


def csv(rows: Any) -> bytes:
    return training.csv(rows)


@pytest.fixture(scope="session")
def model(sagemaker: SageMakerClient, completed: Any) -> str:
    container: Any = {"Image": training.IMAGE, "ModelDataUrl": completed["ModelArtifacts"]["S3ModelArtifacts"]}
    sagemaker.create_model(ModelName="transforms", ExecutionRoleArn=training.ROLE, PrimaryContainer=container)
    return "transforms"


@pytest.fixture
def transform(sagemaker: SageMakerClient, s3: S3Client, bucket: str, name: str, model: str) -> Transform:
    """Runs a job over files, which it uploads first; returns the job's description and its outputs by name."""

    def run(files: dict[str, bytes], *, source: Any = None, output: Any = None, **more: Any) -> Any:
        for key, content in files.items():
            s3.put_object(Bucket=bucket, Key=f"in/{key}", Body=content)
        location = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/"}
        request: Any = {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": {
                "DataSource": {"S3DataSource": location},
                "ContentType": "text/csv",
                "SplitType": "Line",
                **(source or {}),
            },
            "TransformOutput": {"S3OutputPath": f"s3://{bucket}/out", "AssembleWith": "Line", **(output or {})},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        }
        sagemaker.create_transform_job(**request)
        job = wait_for(lambda: ended(sagemaker, name), what=f"the end of {name}")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="out/").get("Contents", [])
        outputs = {
            each["Key"].removeprefix("out/"): s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            for each in listed
        }
        return job, outputs

    return run


def ended(sagemaker: SageMakerClient, name: str) -> Any:
    job = sagemaker.describe_transform_job(TransformJobName=name)
    return job if job["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None


def scores(output: bytes) -> list[float]:
    return [float(line) for line in output.decode().splitlines()]


def expected(booster: xgboost.Booster, rows: Any) -> Any:
    return pytest.approx(training.predictions(booster, rows), rel=1e-6)


@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_every_row_has_its_score(transform: Transform, booster: xgboost.Booster, strategy: str) -> None:
    job, outputs = transform({"a.csv": csv(ROWS[:30]), "more/b.csv": csv(ROWS[30:])}, BatchStrategy=strategy)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert set(outputs) == {"a.csv.out", "more/b.csv.out"}
    assert scores(outputs["a.csv.out"]) == expected(booster, ROWS[:30])
    assert scores(outputs["more/b.csv.out"]) == expected(booster, ROWS[30:])


def test_a_file_of_several_requests_is_one_output_in_order(transform: Transform, booster: xgboost.Booster) -> None:
    many = np.tile(ROWS, (2000, 1))  # 100,000 rows in more than 2 MB, in requests of at most one
    job, outputs = transform({"many.csv": csv(many)}, MaxPayloadInMB=1)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    found = scores(outputs["many.csv.out"])
    assert len(found) == len(many)
    assert found == pytest.approx(training.predictions(booster, ROWS) * 2000, rel=1e-6)


def test_without_split_a_file_is_one_request_and_gzip_is_opened(transform: Transform, booster: xgboost.Booster) -> None:
    job, outputs = transform(
        {"a.csv.gz": gzip.compress(csv(ROWS))}, source={"SplitType": "None", "CompressionType": "Gzip"}
    )
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert scores(outputs["a.csv.gz.out"]) == expected(booster, ROWS)


def test_a_bad_record_fails_its_file_and_the_job_but_no_other_file(
    transform: Transform, booster: xgboost.Booster, cloud: Cloud
) -> None:
    bad = csv(ROWS[:3]) + b"1,2,3,4,5,6,7\n"
    job, outputs = transform({"a.csv": bad, "b.csv": csv(ROWS)}, BatchStrategy="SingleRecord")
    assert (job["TransformJobStatus"], job["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    assert set(outputs) == {"b.csv.out"}
    assert scores(outputs["b.csv.out"]) == expected(booster, ROWS)
    logs = cloud.client("logs")
    group = "/aws/sagemaker/TransformJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=job["TransformJobName"])["logStreams"][0]
    lines = [
        e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    ]
    assert any("a.csv: Bad HTTP status received from algorithm: 400" in line for line in lines)
    assert any("MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=SingleRecord" in line for line in lines)


def test_a_record_that_is_larger_than_a_request_fails(transform: Transform) -> None:
    job, outputs = transform({"a.csv": b"1," * 1_000_000 + b"1\n"}, MaxPayloadInMB=1)
    assert (job["TransformJobStatus"], outputs) == ("Failed", {})


def test_scores_are_joined_to_their_rows(transform: Transform, booster: xgboost.Booster) -> None:
    rows = np.column_stack([np.arange(len(ROWS)), ROWS])
    job, outputs = transform(
        {"a.csv": csv(rows)},
        output={"Accept": "text/csv"},
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    cells = [line.split(",") for line in outputs["a.csv.out"].decode().splitlines()]
    assert [float(number) for number, _ in cells] == list(range(len(ROWS)))
    assert [float(score) for _, score in cells] == expected(booster, ROWS)


def test_the_container_runs_in_batch_mode(transform: Transform, booster: xgboost.Booster) -> None:
    """In batch mode XGBoost answers in lines, for any Accept."""
    _, outputs = transform({"a.csv": csv(ROWS)}, output={"Accept": "application/json"})
    assert scores(outputs["a.csv.out"]) == expected(booster, ROWS)


def test_the_environment_of_the_job_takes_precedence_over_the_models(transform: Transform) -> None:
    _, outputs = transform(
        {"a.csv": csv(ROWS[:2])},
        output={"Accept": "application/jsonlines"},
        Environment={"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label"},
    )
    lines = [json.loads(line) for line in outputs["a.csv.out"].decode().splitlines()]
    assert [list(line) for line in lines] == [["predicted_label"]] * 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"MaxPayloadInMB": 51, "MaxConcurrentTransforms": 2}, "MaxConcurrentTransforms * MaxPayloadInMB is 102"),
        ({"DataProcessing": {"InputFilter": "$..a"}}, "The JSONPath '$..a' isn't supported from '..a' on."),
        ({"DataProcessing": {"JoinSource": "Input"}, "source": {"SplitType": "None"}}, "needs SplitType Line"),
        ({"ModelName": "does-not-exist"}, 'Could not find model "arn:aws:sagemaker:us-east-1:000000000000:model/'),
        ({"TransformJobName": "bad_name"}, "at 'transformJobName' failed to satisfy constraint"),
    ],
)
def test_an_invalid_request_is_refused(transform: Transform, more: Any, message: str) -> None:
    with pytest.raises(ClientError) as refused:
        transform({"a.csv": csv(ROWS)}, **more)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert message in refused.value.response["Error"]["Message"]


def test_a_name_is_used_once_and_jobs_are_listed(sagemaker: SageMakerClient, transform: Transform, name: str) -> None:
    transform({"a.csv": csv(ROWS)})
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="Job name must be unique within an AWS account"):
        transform({})
    with pytest.raises(ClientError, match=r"because the transform job is in status Completed\."):
        sagemaker.stop_transform_job(TransformJobName=name)
    listed = sagemaker.list_transform_jobs(NameContains=name, StatusEquals="Completed")["TransformJobSummaries"]
    assert [each["TransformJobName"] for each in listed] == [name]


def test_a_job_without_input_fails(transform: Transform) -> None:
    job, _ = transform(
        {}, source={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://no-one/a"}}}
    )
    assert job["FailureReason"].startswith("ClientError: Data download failed: ")
