"""What Sluice relies on in SageMaker's training jobs, checked against the stand-in."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xgboost
from botocore.exceptions import ClientError
from tests.conftest import Cloud

from localcloud.testing import training
from localcloud.testing.training import Data

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"


def specification(image: str, definitions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "TrainingImage": image,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": name, "Regex": expression} for name, expression in definitions.items()],
    }


def test_job_goes_through_its_states(completed: Any) -> None:
    transitions = completed["SecondaryStatusTransitions"]
    assert [each["Status"] for each in transitions] == [
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    messages = [each["StatusMessage"] for each in transitions]
    assert messages == [
        "Preparing the instances for training",
        "Downloading input data",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]
    assert len(set(messages)) == len(messages), "a waiter ends only when the message changes"
    starts = [each["StartTime"] for each in transitions]
    assert starts == sorted(starts)
    assert all(each["EndTime"] >= each["StartTime"] for each in transitions)


def test_completed_job_reports_its_times(completed: Any) -> None:
    took = (completed["TrainingEndTime"] - completed["TrainingStartTime"]).total_seconds()
    assert completed["CreationTime"] <= completed["TrainingStartTime"]
    assert completed["TrainingTimeInSeconds"] == math.ceil(took)
    assert completed["BillableTimeInSeconds"] == math.ceil(took)


def test_completed_job_shows_its_request(completed: Any, data: Data) -> None:
    requested = training.request("a-completed-job", data)
    for member in ("HyperParameters", "RoleArn", "InputDataConfig", "OutputDataConfig", "StoppingCondition"):
        assert completed[member] == requested[member]


def test_model_has_the_requested_number_of_rounds(booster: xgboost.Booster) -> None:
    assert booster.num_boosted_rounds() == 12
    assert booster.num_features() == training.FEATURES


def test_final_metrics_are_the_models_own(completed: Any, booster: xgboost.Booster, data: Data) -> None:
    matrix = xgboost.DMatrix(data.validation[:, 1:], label=data.validation[:, 0])
    booster.set_param({"eval_metric": "logloss"})
    logloss = float(re.findall(r"logloss:([\d.]+)", booster.eval(matrix))[0])
    metrics = {each["MetricName"]: each["Value"] for each in completed["FinalMetricDataList"]}
    assert set(metrics) == {"train:auc", "train:logloss", "validation:auc", "validation:logloss"}
    assert metrics["validation:logloss"] == pytest.approx(logloss, abs=1e-5)
    assert metrics["validation:auc"] > 0.9


def test_log_is_in_cloudwatch(cloud: Cloud, completed: Any) -> None:
    rounds = [line for line in training.log_of(cloud, completed["TrainingJobName"]) if line.startswith("[")]
    metrics = {each["MetricName"]: each["Value"] for each in completed["FinalMetricDataList"]}
    lines = [line for line in rounds if "#011" in line]
    assert len(lines) == 12
    assert f"#011validation-auc:{metrics['validation:auc']:.5f}" in lines[-1], "a TAB is #011 there"


def test_job_name_is_used_once(sagemaker: SageMakerClient, completed: Any, data: Data) -> None:
    with pytest.raises(sagemaker.exceptions.ResourceInUse) as refused:
        sagemaker.create_training_job(**training.request(completed["TrainingJobName"], data))
    assert refused.value.response["Error"]["Message"] == (
        "Job name must be unique within an AWS account and region, "
        f"and a job with this name already exists ({completed['TrainingJobArn']})"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"TrainingJobName": "bad_name!"},
            "1 validation error detected: Value 'bad_name!' at 'trainingJobName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
            id="pattern",
        ),
        pytest.param(
            {"HyperParameters": {f"h{number}": "1" for number in range(101)}},
            "at 'hyperParameters' failed to satisfy constraint: Member must have length less than or equal to 100",
            id="length",
        ),
        pytest.param(
            {"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "Value 'ml.huge' at 'resourceConfig.instanceType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [",
            id="enumeration",
        ),
        pytest.param(
            {"InputDataConfig": [training.channel(f"c{number}", "s3://b/k") for number in range(21)]},
            "at 'inputDataConfig' failed to satisfy constraint: Member must have length less than or equal to 20",
            id="channels",
        ),
        pytest.param(
            {"AlgorithmSpecification": specification(training.IMAGE, {"m": "m=(.*)"})},
            "You can't override the metric definitions for Amazon SageMaker algorithms.",
            id="metric definitions of an image of AWS",
        ),
        pytest.param(
            {"AlgorithmSpecification": specification(OWN_IMAGE, {"m": "m=("})},
            "The regex of the metric definition m is invalid: ",
            id="a regex that is none",
        ),
        pytest.param(
            {"AlgorithmSpecification": specification(OWN_IMAGE, {"m": "m=.*"})},
            "The regex of the metric definition m is invalid: it has no group for the value.",
            id="a regex without a value",
        ),
        pytest.param(
            {"AlgorithmSpecification": specification(OWN_IMAGE, {f"m{number}": "(.*)" for number in range(41)})},
            "at 'algorithmSpecification.metricDefinitions' failed to satisfy constraint: "
            "Member must have length less than or equal to 40",
            id="too many metric definitions",
        ),
        pytest.param(
            {"InputDataConfig": [training.channel("train", "s3://b/k")] * 2},
            "The channel names must be unique within a training job: ['train', 'train'].",
            id="a channel twice",
        ),
        pytest.param(
            {"InputDataConfig": [training.channel("..", "s3://b/k")]},
            "The channel name '..' can't be a folder's.",
            id="a channel above",
        ),
        pytest.param(
            {"InputDataConfig": [training.channel("train", "s3://b/k") | {"CompressionType": "Gzip"}]},
            "Channel train: CompressionType is for Pipe mode; leave it out.",
            id="compressed files",
        ),
        pytest.param(
            {"InputDataConfig": [training.channel("train", "s3://No_Bucket/k")]},
            'No S3 objects found under S3 URL "s3://No_Bucket/k" given in input data source.',
            id="a name that no bucket can have",
        ),
        pytest.param(
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 0, "VolumeSizeInGB": 1}},
            "ResourceConfig: this stand-in needs an InstanceType and an InstanceCount above 0.",
            id="no instance",
        ),
        pytest.param(
            {"OutputDataConfig": {"S3OutputPath": "s3://b/k", "CompressionType": "NONE"}},
            "OutputDataConfig: this stand-in writes model.tar.gz, with CompressionType GZIP.",
            id="an uncompressed model",
        ),
        pytest.param(
            {"AlgorithmSpecification": specification(OWN_IMAGE, {}) | {"ContainerEntrypoint": ["python"]}},
            "this stand-in runs built-in algorithms only, no ContainerEntrypoint.",
            id="an entrypoint",
        ),
        pytest.param(
            {"EnableManagedSpotTraining": True},
            "MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true.",
            id="spot",
        ),
        pytest.param(
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
            "MaxWaitTimeInSeconds above 0 is not supported when EnableManagedSpotTraining is false.",
            id="waiting without spot",
        ),
        pytest.param(
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59},
            },
            "Invalid MaxWaitTimeInSeconds. It must be at least MaxRuntimeInSeconds.",
            id="a wait that is too short",
        ),
    ],
)
def test_request_that_the_service_model_forbids_is_refused(
    sagemaker: SageMakerClient, data: Data, name: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as refused:
        sagemaker.create_training_job(**training.request(name, data, **change))
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert message in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("uri", ["s3://sagemaker-contract/nothing/here", "s3://does-not-exist/data"])
def test_channel_without_objects_is_refused(sagemaker: SageMakerClient, data: Data, name: str, uri: str) -> None:
    with pytest.raises(ClientError, match=f'No S3 objects found under S3 URL "{uri}" given in input data source'):
        sagemaker.create_training_job(**training.request(name, data, InputDataConfig=[training.channel("train", uri)]))


def test_unknown_job_is_not_found(sagemaker: SageMakerClient) -> None:
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job):
        with pytest.raises(ClientError, match=r"\(ValidationException\).*Requested resource not found\."):
            call(TrainingJobName="does-not-exist")


def test_job_can_be_stopped(cloud: Cloud, sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str) -> None:
    sagemaker.create_training_job(**training.request(name, data, training.ENDLESS))
    training.trains(cloud, name)
    sagemaker.stop_training_job(TrainingJobName=name)
    job = training.finished(sagemaker, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [each["Status"] for each in job["SecondaryStatusTransitions"]][-2:] == ["Stopping", "Stopped"]
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job stopped"
    assert s3.list_objects_v2(Bucket=data.bucket, Prefix=f"models/{name}/")["KeyCount"] == 0


def test_stopped_job_leaves_its_model_if_its_hyperparameter_requires_it(
    cloud: Cloud, sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str
) -> None:
    kept = {**training.ENDLESS, "save_model_on_termination": "true"}
    sagemaker.create_training_job(**training.request(name, data, kept))
    training.trains(cloud, name)
    sagemaker.stop_training_job(TrainingJobName=name)
    job = training.finished(sagemaker, name)
    assert job["SecondaryStatus"] == "Stopped"
    saved = training.booster_of(s3, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert saved.num_boosted_rounds() >= 1


def test_job_ends_at_its_time_limit(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    sagemaker.create_training_job(
        **training.request(name, data, training.ENDLESS, StoppingCondition={"MaxRuntimeInSeconds": 2})
    )
    job = training.finished(sagemaker, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert [each["Status"] for each in job["SecondaryStatusTransitions"]][-2:] == ["Stopping", "MaxRuntimeExceeded"]
    assert 2 <= job["TrainingTimeInSeconds"] <= 10


def test_ended_job_can_not_be_stopped(sagemaker: SageMakerClient, completed: Any) -> None:
    with pytest.raises(
        ClientError, match=r"The request was rejected because the training job is in status Completed\."
    ):
        sagemaker.stop_training_job(TrainingJobName=completed["TrainingJobName"])


def test_other_output_of_the_algorithm_is_uploaded(
    sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str
) -> None:
    sagemaker.create_training_job(**training.request(name, data, {"_kfold": "2", "num_round": "2"}))
    job = training.finished(sagemaker, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    files = training.archive_of(s3, f"s3://{data.bucket}/models/{name}/output/output.tar.gz")
    assert list(files) == ["predictions.csv"]
    assert len(files["predictions.csv"].splitlines()) == 800, "one for each row of both channels"
    assert list(training.archive_of(s3, job["ModelArtifacts"]["S3ModelArtifacts"])) == [
        *("xgboost-model-0", "xgboost-model-1"),
    ]


def test_failed_job_reports_its_reason(sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str) -> None:
    sagemaker.create_training_job(**training.request(name, data, {"eta": "1.5"}))
    job = training.finished(sagemaker, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == "ClientError: Hyperparameter eta: 1.5 is not in [0, 1]"
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job failed"
    assert s3.list_objects_v2(Bucket=data.bucket, Prefix=f"models/{name}/")["KeyCount"] == 0


def test_unknown_image_fails_the_job(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    image = {"TrainingImage": "000000000000.dkr.ecr.us-east-1.amazonaws.com/mine:1", "TrainingInputMode": "File"}
    sagemaker.create_training_job(**training.request(name, data, AlgorithmSpecification=image))
    assert training.finished(sagemaker, name)["FailureReason"].startswith(
        "ClientError: Cannot pull algorithm container."
    )


def test_jobs_queue_for_the_cores_and_can_be_stopped_in_the_queue(
    sagemaker: SageMakerClient, data: Data, name: str
) -> None:
    first, second = f"{name[:50]}-1", f"{name[:50]}-2"
    all_cores = {"num_round": training.ENDLESS["num_round"]}
    sagemaker.create_training_job(**training.request(first, data, all_cores))
    training.reached(sagemaker, first, "Training")
    sagemaker.create_training_job(**training.request(second, data, all_cores))
    assert sagemaker.describe_training_job(TrainingJobName=second)["SecondaryStatus"] == "Starting"
    sagemaker.stop_training_job(TrainingJobName=second)
    waited = training.finished(sagemaker, second)
    assert waited["SecondaryStatus"] == "Stopped"
    assert "TrainingStartTime" not in waited
    assert sagemaker.describe_training_job(TrainingJobName=first)["SecondaryStatus"] == "Training"
    sagemaker.stop_training_job(TrainingJobName=first)
    assert training.finished(sagemaker, first)["SecondaryStatus"] == "Stopped"


def test_jobs_are_listed_by_filter_and_page(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    names = [f"{name[:50]}-{number}" for number in range(3)]
    for each in names:
        sagemaker.create_training_job(**training.request(each, data, {"num_round": "none"}))
    for each in names:
        training.finished(sagemaker, each)
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=name[:50].upper(),
        StatusEquals="Failed",
        SortBy="Name",
        SortOrder="Ascending",
        PaginationConfig={"PageSize": 2},
    )
    listed = [[job["TrainingJobName"] for job in page["TrainingJobSummaries"]] for page in pages]
    assert listed == [names[:2], names[2:]]
    assert sagemaker.list_training_jobs(NameContains=name[:50], StatusEquals="Completed")["TrainingJobSummaries"] == []


def test_tags_are_kept_with_the_job(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    arn = sagemaker.create_training_job(
        **training.request(name, data, {"num_round": "none"}, Tags=[{"Key": "owner", "Value": "a"}])
    )["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "cost centre", "Value": "7"}, {"Key": "owner", "Value": "b"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "cost centre", "Value": "7"},
        {"Key": "owner", "Value": "b"},
    ]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["owner"])
    assert [tag["Key"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]] == ["cost centre"]


def test_copy_of_the_image_has_metrics_of_its_owner(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    own = specification(
        OWN_IMAGE, {"rows": r"train matrix has (\d+) rows", "train:auc": r"\[11\]#011train-auc:(0\.\d)"}
    )
    sagemaker.create_training_job(**training.request(name, data, AlgorithmSpecification=own))
    job = training.finished(sagemaker, name)
    metrics = {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}
    assert metrics["rows"] == 600
    assert metrics["train:auc"] * 10 % 1 == pytest.approx(0), "its expression takes precedence over the service's"
    assert "validation:auc" in metrics


def test_manifest_lists_the_files(sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str) -> None:
    listed = [{"prefix": f"s3://{data.bucket}/data/"}, "train/more/part-1.csv"]
    s3.put_object(Bucket=data.bucket, Key=f"{name}/manifest", Body=json.dumps(listed).encode())
    channel = training.channel("train", f"s3://{data.bucket}/{name}/manifest")
    channel["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    channels = [channel, training.channel("validation", data.uri("validation"))]
    hyperparameters = {"_kfold": "2", "num_round": "1"}
    sagemaker.create_training_job(**training.request(name, data, hyperparameters, InputDataConfig=channels))
    job = training.finished(sagemaker, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    files = training.archive_of(s3, f"s3://{data.bucket}/models/{name}/output/output.tar.gz")
    assert len(files["predictions.csv"].splitlines()) == 300, "100 of the one file that is listed, 200 of validation"


def test_invalid_manifest_is_refused(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    channel = training.channel("train", f"{data.uri('train')}part-0.csv")
    channel["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    with pytest.raises(ClientError, match=r"the manifest s3://\S+ can't be read"):
        sagemaker.create_training_job(**training.request(name, data, InputDataConfig=[channel]))


@pytest.mark.slow
def test_data_larger_than_the_volume_fails_the_job(
    sagemaker: SageMakerClient, s3: S3Client, name: str, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="data/a.csv", Body=b"1,2,3,4\n" * (100 * 1024**2 // 8))
    s3.put_object(Bucket=bucket, Key="manifest", Body=json.dumps([{"prefix": f"s3://{bucket}/data/"}, *["a.csv"] * 11]))
    request = training.request(name, Data(bucket, training.rows(1, 1)))
    channel = training.channel("train", f"s3://{bucket}/manifest")
    channel["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    request["InputDataConfig"] = [channel]
    request["ResourceConfig"]["VolumeSizeInGB"] = 1
    sagemaker.create_training_job(**request)
    job = training.finished(sagemaker, name, seconds=200)
    assert job["FailureReason"] == (
        "ClientError: Data download failed: No space left on device. Increase VolumeSizeInGB, which is 1."
    )


def test_several_instances_train_as_one_with_a_warning(
    cloud: Cloud, sagemaker: SageMakerClient, data: Data, name: str
) -> None:
    request = training.request(name, data, {"num_round": "1"})
    request["ResourceConfig"]["InstanceCount"] = 3
    sagemaker.create_training_job(**request)
    assert training.finished(sagemaker, name)["TrainingJobStatus"] == "Completed"
    assert training.log_of(cloud, name)[0] == (
        "WARNING: 3 instances were asked for; this stand-in trains on ONE, with all of the data."
    )


def test_job_continues_from_the_checkpoints_of_another(
    cloud: Cloud, sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str
) -> None:
    kept = {"CheckpointConfig": {"S3Uri": f"s3://{data.bucket}/{name}/checkpoints"}}
    first, second = f"{name[:50]}-1", f"{name[:50]}-2"
    sagemaker.create_training_job(**training.request(first, data, {"num_round": "6"}, **kept))
    assert training.finished(sagemaker, first)["TrainingJobStatus"] == "Completed"
    listed = s3.list_objects_v2(Bucket=data.bucket, Prefix=f"{name}/checkpoints/")["Contents"]
    assert all(each["Key"].rpartition("/")[2].startswith("xgboost-checkpoint.") for each in listed)
    sagemaker.create_training_job(**training.request(second, data, **kept))
    job = training.finished(sagemaker, second)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    rounds = [line.partition("#011")[0] for line in training.log_of(cloud, second) if "#011" in line]
    assert rounds == [f"[{number}]" for number in range(6, 12)], "the first six are in the checkpoint"
    resumed = training.booster_of(s3, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert resumed.num_boosted_rounds() == 12


def test_job_can_not_change_its_interpreter(sagemaker: SageMakerClient, data: Data, name: str, tmp_path: Path) -> None:
    """Such code would run before the job is confined; on AWS the same variables mean folders of the container."""
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    variables = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/opt/ml/code", "LD_PRELOAD": "/nothing.so", "MINE": "1"}
    sagemaker.create_training_job(**training.request(name, data, {"num_round": "1"}, Environment=variables))
    job = training.finished(sagemaker, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["Environment"] == variables
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", ["a/b", "x" * 300])
def test_keys_that_can_not_be_files_fail_the_job(
    sagemaker: SageMakerClient, s3: S3Client, data: Data, name: str, bucket: str, key: str
) -> None:
    for each in ("a", key):
        s3.put_object(Bucket=bucket, Key=f"data/{each}", Body=b"1,2\n")
    channels = [training.channel("train", f"s3://{bucket}/data/")]
    sagemaker.create_training_job(**training.request(name, data, InputDataConfig=channels))
    reason = training.finished(sagemaker, name)["FailureReason"]
    assert reason.startswith(f"ClientError: Data download failed: s3://{bucket}/data/{key} can't become a file: ")


def test_missing_output_bucket_fails_the_job(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    output = {"S3OutputPath": "s3://does-not-exist/models"}
    sagemaker.create_training_job(**training.request(name, data, {"num_round": "1"}, OutputDataConfig=output))
    reason = training.finished(sagemaker, name)["FailureReason"]
    assert reason.startswith("ClientError: Data upload failed: s3://does-not-exist/models/")


def test_no_stop_is_lost(sagemaker: SageMakerClient, data: Data, name: str) -> None:
    """Each job is stopped as early as possible."""
    names = [f"{name[:50]}-{number}" for number in range(12)]

    def stop(each: str) -> None:
        while True:
            with contextlib.suppress(ClientError):
                return sagemaker.stop_training_job(TrainingJobName=each)

    with ThreadPoolExecutor(2) as pool:
        for each in names:
            stopping = pool.submit(stop, each)
            sagemaker.create_training_job(**training.request(each, data, {**training.ENDLESS, "nthread": "2"}))
            stopping.result(30)
    assert {training.finished(sagemaker, each)["TrainingJobStatus"] for each in names} == {"Stopped"}


def test_ended_job_can_be_deleted_and_its_name_used_again(
    cloud: Cloud, sagemaker: SageMakerClient, data: Data, name: str
) -> None:
    sagemaker.create_training_job(**training.request(name, data, training.ENDLESS))
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="because the training job is in status InProgress"):
        sagemaker.delete_training_job(TrainingJobName=name)
    sagemaker.stop_training_job(TrainingJobName=name)
    training.finished(sagemaker, name)
    sagemaker.delete_training_job(TrainingJobName=name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName=name)
    sagemaker.create_training_job(**training.request(name, data, {"num_round": "1"}))
    assert training.finished(sagemaker, name)["TrainingJobStatus"] == "Completed"
