"""The same snapshot, declaration and role give the same request and the same job name (P7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import botocore.session
import botocore.validate
import pytest
from tests.clients import ROLE, offline
from tests.sluice.provisioning.shapes import KEY
from tests.sluice.toy import TOY

from sluice.dataset.encodings import Encoding, NumberEncoding
from sluice.dataset.snapshot import Snapshot
from sluice.declaration import LinearLearner, Network
from sluice.declaration.candidates import Candidate
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.xgboost import XGBoost
from sluice.training.names import job_name_stem
from sluice.training.request import training_request

SNAPSHOT = Snapshot(
    fingerprint="f" * 32,
    dataset="running",
    label="late",
    encoding=Encoding(columns=(NumberEncoding(feature="value", fill=0), NumberEncoding(feature="total", fill=0))),
    forms=("gaps",),
    revisions={"dt=2013-01-01": "a"},
    partitions={"train": "dt=2013-01-01", "validation": "dt=2013-01-02", "test": "dt=2013-01-03"},
    rows={"train": 1, "validation": 1, "test": 1},
)

CANDIDATE = TOY.training.candidates[0]
BINARY = {"objective": "binary:logistic"}
LINEAR = LinearLearner({"predictor_type": "binary_classifier"})


def request(pipeline: Pipeline = TOY, snapshot: Snapshot = SNAPSHOT, role: str = ROLE) -> dict[str, Any]:
    return training_request(offline(pipeline, role), pipeline.training.candidates[0], snapshot)


def trained(pipeline: Pipeline, **changes: Any) -> Pipeline:
    return replace(pipeline, training=replace(pipeline.training, **changes))


def test_service_model_accepts_the_request() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob")

    report = botocore.validate.ParamValidator().validate(request(), model.input_shape)

    assert not report.has_errors(), report.generate_report()


def test_job_trains_on_the_channels_of_the_snapshot_and_never_on_the_test_rows() -> None:
    uris = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in request()["InputDataConfig"]
    }

    assert uris == {
        "train": f"s3://bucket/toy/snapshots/{'f' * 32}/gaps/train/",
        "validation": f"s3://bucket/toy/snapshots/{'f' * 32}/gaps/validation/",
    }


@pytest.mark.parametrize(
    ("candidate", "folder", "content_type"),
    [
        (CANDIDATE, "gaps", "text/csv"),
        (replace(CANDIDATE, channel_format="parquet"), "gaps-parquet", "application/x-parquet"),
        (replace(CANDIDATE, channel_format="libsvm"), "gaps-libsvm", "text/libsvm"),
        (replace(CANDIDATE, channel_format="recordio"), "gaps-recordio", "application/x-recordio-protobuf"),
        (replace(LINEAR, channel_format="recordio"), "filled-recordio", "application/x-recordio-protobuf"),
    ],
)
def test_channels_have_the_declared_format(candidate: Candidate, folder: str, content_type: str) -> None:
    """The names of the content types are those that SageMaker's containers take, letter by letter."""
    found = request(trained(TOY, candidates=(candidate,)))["InputDataConfig"]

    assert [(each["ChannelName"], each["ContentType"]) for each in found] == [
        ("train", content_type),
        ("validation", content_type),
    ]
    for each in found:
        uri = each["DataSource"]["S3DataSource"]["S3Uri"]
        assert uri == f"s3://bucket/toy/snapshots/{'f' * 32}/{folder}/{each['ChannelName']}/"


def test_another_format_is_another_job() -> None:
    other = trained(TOY, candidates=(replace(CANDIDATE, channel_format="parquet"),))

    assert request(other)["TrainingJobName"] != request()["TrainingJobName"]


def test_hyperparameters_are_text_and_their_order_does_not_matter() -> None:
    one = trained(TOY, candidates=(XGBoost({**BINARY, "eta": 0.1, "num_round": 5}),))
    other = trained(TOY, candidates=(XGBoost({"num_round": 5, "eta": 0.1, **BINARY}),))

    assert request(one) == request(other)
    assert request(one)["HyperParameters"] == {**BINARY, "eta": "0.1", "num_round": "5"}


@pytest.mark.parametrize(
    "change",
    [
        lambda: request(snapshot=SNAPSHOT.model_copy(update={"fingerprint": "e" * 32})),
        lambda: request(role=ROLE + "-2"),
        lambda: request(
            trained(
                TOY,
                candidates=(XGBoost({**BINARY, "num_round": 5, "eta": 0.2}),),
            )
        ),
        lambda: request(trained(TOY, candidates=(replace(CANDIDATE, instance_type="ml.m5.xlarge"),))),
        lambda: request(trained(TOY, candidates=(replace(CANDIDATE, volume_gb=11),))),
        lambda: request(trained(TOY, candidates=(replace(CANDIDATE, version="3.0-5"),))),
        lambda: request(trained(TOY, max_runtime=timedelta(hours=2))),
    ],
)
def test_any_other_change_makes_another_job(change: Callable[[], dict[str, Any]]) -> None:
    assert change()["TrainingJobName"] != request()["TrainingJobName"]


def test_name_has_the_prefix_of_the_pipelines_jobs_and_is_valid() -> None:
    pipeline = replace(trained(TOY, candidates=(XGBoost({**BINARY, "num_round": 5}, name="x_g"),)), name="two_words")

    name = request(pipeline)["TrainingJobName"]

    assert name.startswith("two-words-x-g-")
    assert name.startswith(job_name_stem(pipeline, pipeline.training.candidates[0]))
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


def test_key_and_network_are_set_where_sagemaker_expects_them() -> None:
    guarded = request(replace(TOY, kms_key=KEY, network=Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",))))

    assert guarded["VpcConfig"] == {"SecurityGroupIds": ["sg-0a1b2c3d"], "Subnets": ["subnet-0a1b2c3d"]}
    assert guarded["OutputDataConfig"]["KmsKeyId"] == guarded["ResourceConfig"]["VolumeKmsKeyId"] == KEY
    assert guarded["TrainingJobName"] != request()["TrainingJobName"]
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob")
    assert botocore.validate.ParamValidator().validate(guarded, model.input_shape).generate_report() == ""


def test_isolated_job_has_no_network_and_another_name() -> None:
    isolated = request(replace(TOY, isolated=True))

    assert isolated["EnableNetworkIsolation"] is True
    assert isolated["TrainingJobName"] != request()["TrainingJobName"]
    assert "EnableNetworkIsolation" not in request()


def test_spare_capacity_has_checkpoints_that_all_attempts_share() -> None:
    candidate = replace(CANDIDATE, spot=timedelta(hours=3))
    spot = request(trained(TOY, candidates=(candidate,)))

    assert spot["EnableManagedSpotTraining"] is True
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 10800}
    name = spot["TrainingJobName"]
    assert spot["CheckpointConfig"] == {"S3Uri": f"s3://bucket/toy/models/checkpoints/{name}/"}
    assert name != request()["TrainingJobName"]
    assert "EnableManagedSpotTraining" not in request()
    assert trained(TOY, candidates=(candidate,)).training.longest_job == timedelta(hours=3)
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob")
    assert botocore.validate.ParamValidator().validate(spot, model.input_shape).generate_report() == ""


def test_tags_are_set_and_do_not_change_the_job() -> None:
    tagged = request(replace(TOY, tags={"team": "freight"}))

    assert tagged["Tags"] == [*request()["Tags"], {"Key": "team", "Value": "freight"}]
    assert tagged["TrainingJobName"] == request()["TrainingJobName"]
