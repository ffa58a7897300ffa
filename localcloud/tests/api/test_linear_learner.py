"""Linear Learner through the API: the output and log of a job, and the answers of its endpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse
from botocore.exceptions import ClientError

from localcloud.sagemaker.algorithms import recordio
from localcloud.testing import training
from localcloud.testing.clouds import Cloud
from localcloud.testing.linear_learner import Array, Jobs, csv
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

BINARY = {"predictor_type": "binary_classifier", "mini_batch_size": "50"}
NUMBER = r"[-+0-9.e]+"


@pytest.fixture(scope="session")
def jobs(s3: S3Client, sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient) -> Jobs:
    s3.create_bucket(Bucket="linear-learner-contract")
    return Jobs(s3, sagemaker, runtime, "linear-learner-contract")


def rows(seed: int, count: int = 300) -> tuple[Array, Array]:
    """Return labels of two classes that overlap, and features."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 3)).astype(np.float32)
    return (features @ [2, -1, 0] + random.normal(size=count) > 0).astype(np.float32), features


CHANNELS = {name: csv(*rows(seed)) for seed, name in enumerate(("train", "validation", "test"))}


@pytest.fixture(scope="session")
def binary(jobs: Jobs) -> Any:
    """The DescribeTrainingJob of a job with all three channels and the default hyperparameters."""
    return jobs.completed("linear-learner-binary", BINARY, CHANNELS)


@pytest.fixture(scope="session")
def log(cloud: Cloud, binary: Any) -> list[str]:
    return training.log_of(cloud, binary["TrainingJobName"])


def final(job: Any) -> dict[str, float]:
    return {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}


def quality(lines: list[str], channel: str) -> dict[str, float]:
    """Return the chosen model's metrics in the log, for a channel."""
    found = re.findall(rf"#quality_metric: host=algo-1, {channel} (\S+) <(?:score|loss)>=(\S+)", "\n".join(lines))
    return {name: float(value) for name, value in found}


def test_the_final_metrics_are_those_of_the_service(binary: Any) -> None:
    of_model = ("binary_classification_accuracy", "binary_f_beta", "precision", "recall", "roc_auc_score")
    assert set(final(binary)) == {
        *(f"{channel}:{name}" for channel in ("validation", "test") for name in of_model),
        *("train:objective_loss", "train:progress", "train:throughput"),
        *("validation:objective_loss", "validation:objective_loss:final", "test:objective_loss"),
    }
    assert final(binary)["train:progress"] <= 100
    assert final(binary)["train:throughput"] > 1000


def test_the_final_metrics_are_those_of_the_model(jobs: Jobs, binary: Any, tmp_path: Path) -> None:
    model = jobs.model(binary, tmp_path)
    for seed, channel in ((1, "validation"), (2, "test")):
        labels, features = rows(seed)
        outputs = model.outputs(features)
        predicted = outputs[:, 0] > model.threshold
        losses = np.log1p(np.exp(-np.where(labels == 1, 1, -1) * outputs[:, 0].astype(float)))
        metrics = final(binary)
        objective = "validation:objective_loss:final" if channel == "validation" else "test:objective_loss"
        assert metrics[objective] == pytest.approx(losses.mean(), rel=1e-4)
        assert metrics[f"{channel}:binary_classification_accuracy"] == pytest.approx((predicted == labels).mean())
        assert metrics[f"{channel}:recall"] == pytest.approx(predicted[labels == 1].mean())
        assert metrics[f"{channel}:precision"] == pytest.approx(labels[predicted].mean())
    assert final(binary)["test:binary_classification_accuracy"] > 0.85


def test_the_service_shows_its_metric_definitions(binary: Any) -> None:
    definitions = {each["Name"]: each["Regex"] for each in binary["AlgorithmSpecification"]["MetricDefinitions"]}
    assert len(definitions) <= 40
    assert definitions["validation:objective_loss:final"] == (
        r"#quality_metric: host=\S+, validation \S+_objective <loss>=(\S+)"
    )
    assert definitions["train:objective_loss"] == (
        r"#quality_metric: host=\S+, epoch=\S+, train \S+_objective <loss>=(\S+)"
    )
    assert definitions["train:progress"] == r"#progress_metric: host=\S+, completed (\S+) %"


def test_each_epoch_has_its_lines(log: list[str]) -> None:
    prefix = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "
    objective = "binary_classification_cross_entropy_objective"
    for expected in (
        rf"#quality_metric: host=algo-1, epoch=0, train {objective} <loss>={NUMBER}",
        rf"#quality_metric: host=algo-1, epoch=0, validation {objective} <loss>={NUMBER}",
        rf"#early_stopping_criteria_metric: host=algo-1, epoch=0, criteria=sampled_accuracy, value={NUMBER}",
        r"Epoch 0: Loss improved\. Updating best model",
        r"#progress_metric: host=algo-1, completed 6 % of epochs",
        rf"#throughput_metric: host=algo-1, train throughput={NUMBER} records/second",
    ):
        assert sum(re.fullmatch(prefix + expected, line) is not None for line in log) >= 1, expected
    waits = re.findall(r"Epoch \d+: Loss has not improved for (\d+) epochs\.", "\n".join(log))
    assert waits[-3:] == ["0", "1", "2"], "patience is three epochs"


def test_each_model_has_its_metrics_in_each_epoch(log: list[str]) -> None:
    records = [json.loads(line.removeprefix("#metrics ")) for line in log if line.startswith("#metrics ")]
    assert all(each["Dimensions"]["Algorithm"] == "Linear Learner" for each in records)
    first = [each for each in records if each["Dimensions"]["epoch"] == 0]
    objective = "binary_classification_cross_entropy_objective"
    for channel in ("train", "validation"):
        losses = [
            each["Metrics"][f"{channel}_{objective}"] for each in first if f"{channel}_{objective}" in each["Metrics"]
        ]
        assert len(losses) == 32
        assert all(each["sum"] == each["min"] == each["max"] for each in losses)


def test_the_end_of_the_log_has_the_chosen_model(log: list[str]) -> None:
    (chosen,) = re.findall(r"Best model found for hyperparameters: (\{.*\})", "\n".join(log))
    settings = json.loads(chosen)
    assert set(settings) == {
        *("optimizer", "learning_rate", "l1", "wd"),
        *("lr_scheduler_step", "lr_scheduler_factor", "lr_scheduler_minimum_lr"),
    }
    assert settings["optimizer"] == "adam"
    for channel in ("validation", "test"):
        scores = re.findall(rf"#{channel}_score \(algo-1\) : \('(\S+)', (\S+)\)", "\n".join(log))
        assert {name: float(value) for name, value in scores} == quality(log, channel)
        assert "binary_f_1.000" in quality(log, channel)


def test_without_validation_data_the_training_data_is_scored(cloud: Cloud, jobs: Jobs, name: str) -> None:
    job = jobs.completed(name, BINARY, {"train": CHANNELS["train"]})
    of_model = ("binary_classification_accuracy", "binary_f_beta", "precision", "recall")
    assert set(final(job)) == {
        *(f"train:{each}" for each in of_model),
        *("train:objective_loss", "train:objective_loss:final", "train:progress", "train:throughput"),
    }
    assert any(line.endswith("Test data is not provided.") for line in training.log_of(cloud, name))


def test_an_endpoint_answers_with_the_models_own_predictions(jobs: Jobs, binary: Any, tmp_path: Path) -> None:
    model = jobs.model(binary, tmp_path)
    _, features = rows(9, 20)
    outputs = model.outputs(features)[:, 0]
    endpoint = jobs.deploy(binary)
    predictions = jobs.predictions(endpoint, features)
    assert [each["score"] for each in predictions] == pytest.approx((1 / (1 + np.exp(-outputs))).tolist(), rel=1e-4)
    assert [each["predicted_label"] for each in predictions] == (outputs > model.threshold).astype(int).tolist()
    with pytest.raises(ClientError) as refused:
        jobs.runtime.invoke_endpoint(EndpointName=endpoint, Body="1,2", ContentType="text/csv")
    error: Any = refused.value.response
    assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 400)
    assert error["OriginalMessage"] == (
        "unable to evaluate payload provided: the records have 2 features, the model has 3"
    )


@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_a_batch_transform_writes_one_line_for_each_row(
    jobs: Jobs, binary: Any, name: str, strategy: str, tmp_path: Path
) -> None:
    model = jobs.model(binary, tmp_path)
    _, features = rows(9, 20)
    jobs.create_model(name, binary)
    jobs.s3.put_object(Bucket=jobs.bucket, Key=f"{name}/in/part.csv", Body=csv(features))
    source: Any = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.bucket}/{name}/in/"}
    jobs.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        BatchStrategy=strategy,  # type: ignore[arg-type]
        TransformInput={"DataSource": {"S3DataSource": source}, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={
            "S3OutputPath": f"s3://{jobs.bucket}/{name}/out",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )

    def ended() -> Any:
        job = jobs.sagemaker.describe_transform_job(TransformJobName=name)
        return job if job["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None

    job = wait_for(ended, what=f"the end of {name}")
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    written = jobs.s3.get_object(Bucket=jobs.bucket, Key=f"{name}/out/part.csv.out")["Body"].read()
    predictions = [json.loads(line) for line in written.decode().splitlines()]
    expected = model.scores(model.outputs(features))[:, 0]
    assert [each["score"] for each in predictions] == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_channel_without_content_type_has_records(jobs: Jobs, name: str, sparse: bool, tmp_path: Path) -> None:
    def encoded(seed: int) -> bytes:
        labels, features = rows(seed)
        features[np.abs(features) < 0.5] = 0
        return recordio.encode(scipy.sparse.csr_matrix(features) if sparse else features, labels)

    channels = {"train": encoded(0), "validation": encoded(1)}
    model = jobs.model(jobs.completed(name, BINARY, channels, content_type=None), tmp_path)
    labels, features = rows(2)
    assert (model.labels(model.outputs(features)) == labels).mean() > 0.8


@pytest.mark.parametrize(
    ("given", "train", "reason"),
    [
        pytest.param(
            BINARY | {"epochs": "0"},
            CHANNELS["train"],
            "The value '0' is not valid for the 'epochs' hyperparameter which expects an integer of at least 1 "
            "(caused by ValidationError)\n\nCaused by: '0' is not valid under any of the given schemas",
            id="hyperparameter",
        ),
        pytest.param(
            BINARY,
            b"1,2,3\n0,,4\n",
            "Unable to parse csv: rows 1-1000, file /opt/ml/input/data/train/part-0: row 2: CSV conversion error to "
            "float: invalid value ''",
            id="missing value",
        ),
        pytest.param(
            BINARY,
            b"1,2,3\nnan,5,4\n",
            "The train data has the label nan in row 2: labels of a binary_classifier must be integers from 0 to 1.",
            id="NaN label",
        ),
        pytest.param(
            BINARY,
            b"1,2,3\n1,5,4\n",
            "The train data has labels of one class only (1): a binary_classifier can't be trained on it.",
            id="one class",
        ),
        pytest.param(
            BINARY,
            b"",
            "No training data processed. Either the training channel is empty or the mini-batch size is too high. "
            "Verify that training data contains non-empty files and the mini-batch size is less than the number of "
            "records per training host.",
            id="empty file",
        ),
        pytest.param(
            BINARY | {"feature_dim": "4"},
            CHANNELS["train"],
            "The train data has 3 features, but the hyperparameter feature_dim is 4",
            id="feature_dim",
        ),
    ],
)
def test_a_failed_job_has_its_reason(
    cloud: Cloud, jobs: Jobs, name: str, given: Any, train: bytes, reason: str
) -> None:
    jobs.start(name, given, {"train": train})
    job = jobs.finished(name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == f"ClientError: {reason}"
    assert not any("Traceback" in line for line in training.log_of(cloud, name))


def test_channels_must_agree_on_their_features(jobs: Jobs, name: str) -> None:
    jobs.start(name, BINARY, {"train": CHANNELS["train"], "validation": b"1,2\n0,3\n"})
    assert jobs.finished(name)["FailureReason"] == (
        "ClientError: The validation data has 1 features, but the train data has 3."
    )


def test_an_unknown_channel_is_refused(jobs: Jobs, name: str) -> None:
    jobs.start(name, BINARY, {"train": CHANNELS["train"], "eval": CHANNELS["test"]})
    assert jobs.finished(name)["FailureReason"] == (
        "ClientError: Unable to initialize the algorithm. Failed to validate input data configuration. "
        "(caused by ValidationError)\n\nCaused by: Additional properties are not allowed ('eval' was unexpected)"
    )


def test_traps_cause_warnings(cloud: Cloud, jobs: Jobs, name: str) -> None:
    labels, features = rows(0, 130)
    order = np.argsort(labels)
    jobs.completed(name, BINARY, {"train": csv(labels[order], features[order])})
    warnings = [line for line in training.log_of(cloud, name) if " WARNING " in line]
    assert any("THE ROWS ARE SORTED BY THEIR LABEL" in line for line in warnings)
    assert any("30 of 130 rows don't fill a mini-batch of 50: they are NOT TRAINED ON" in line for line in warnings)


def test_a_stopped_job_leaves_the_best_model_so_far(cloud: Cloud, jobs: Jobs, name: str, tmp_path: Path) -> None:
    endless = {"epochs": "1000000", "early_stopping_patience": "1000000"}
    jobs.start(name, BINARY | endless, CHANNELS)

    def learns() -> bool:
        return any("epoch=3, criteria=" in line for line in training.log_of(cloud, name))

    wait_for(learns, what="some epochs")
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    job = jobs.finished(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    model = jobs.model(job, tmp_path)
    labels, features = rows(5)
    assert (model.labels(model.outputs(features)) == labels).mean() > 0.8
