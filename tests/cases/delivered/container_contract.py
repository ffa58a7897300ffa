"""What the containers of the algorithms take and refuse, in the stand-in as well, and what Sluice gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.algorithms.xgboost.content_types import CONTENT_TYPES
from localcloud.testing import linear_learner, serving, training
from localcloud.testing.waiting import wait_for
from sluice.dataset.snapshot import make_snapshot
from sluice.lake.store import Lake
from sluice.training.request import training_request
from sluice.workspace import Workspace
from tests.cases.case import Case
from tests.conftest import Cloud
from tests.sluice.lake_contents import body_of, keys_below, put_rows

_NAME = "container-contract"


def check(case: Case, request: pytest.FixtureRequest) -> None:
    checks: Mapping[str, Callable[[Case, pytest.FixtureRequest], None]] = {
        "container-contract/01-prefixes-that-are-siblings": check_siblings,
        "container-contract/02-widths-content-types-and-headers": check_widths_and_types,
    }
    checks[case.id](case, request)


def check_siblings(case: Case, request: pytest.FixtureRequest) -> None:
    cloud: Cloud = request.getfixturevalue("cloud")
    lake: Lake = request.getfixturevalue("lake")
    for key, name in case.given["objects"].items():
        lake.s3.put_object(Bucket=lake.bucket, Key=key, Body=case.read(name))
    channels = [
        training.channel(name, uri.replace("BUCKET", lake.bucket)) for name, uri in case.given["channels"].items()
    ]
    asked = request_of(lake, "siblings", channels)
    cloud.client("sagemaker").create_training_job(**asked)
    training.finished(cloud.client("sagemaker"), asked["TrainingJobName"])
    rows = case.right["stand_in"]["train_rows"]
    log = training.log_of(cloud, asked["TrainingJobName"])
    assert any(f"The train matrix has {rows} rows" in line for line in log)
    assert lake.layout.channel("f1", "gaps", "train").endswith("/")


def request_of(lake: Lake, name: str, channels: list[dict[str, Any]]) -> Any:
    data = training.Data(lake.bucket, np.empty(0))
    settings = {"objective": "reg:squarederror", "eval_metric": "rmse"}
    return training.request(name, data, settings, InputDataConfig=channels)


def check_widths_and_types(case: Case, request: pytest.FixtureRequest) -> None:
    check_requests(case, request)
    check_training_channel(case, request)
    check_linear_learner(case, request)


def check_requests(case: Case, request: pytest.FixtureRequest) -> None:
    """Ask an endpoint, and ``sluice predict`` for a row without its last column."""
    serve(request, case.given["model_features"])
    answers = [answer_to(request, asked["content_type"], asked["body"]) for asked in case.given["requests"]]
    whole, narrow, of_json, of_label = case.right["requests"]
    assert whole == "2 scores"
    assert [float(line) for line in answers[0].splitlines()] != []
    assert len(answers[0].splitlines()) == 2
    assert narrow.startswith("1 score by the container")
    assert narrow.endswith("sluice predict counts the columns and refuses")
    assert np.isfinite(float(answers[1]))
    assert of_json == "415 with the types that are taken"
    assert answers[2] == f"415: application/json is not an accepted ContentType: {', '.join(CONTENT_TYPES)}."
    assert of_label == "415: label_size is 1 or omitted"
    assert answers[3].startswith("415: text/csv;label_size=0 is not an accepted csv ContentType. ")
    assert answers[3].endswith("label_size must be equal to 1")
    request.getfixturevalue("proven")
    refused = request.getfixturevalue("sluice")("predict", "toy", given="0.5\n")
    assert (refused.status, refused.out) == (1, "")
    assert "line 1 has 1 columns, expected 2: value, total" in refused.error


def serve(request: pytest.FixtureRequest, features: int) -> None:
    """Make an endpoint of an XGBoost model of so many features."""
    cloud: Cloud = request.getfixturevalue("cloud")
    lake: Lake = request.getfixturevalue("lake")
    lake.s3.put_object(Bucket=lake.bucket, Key="three/part-0.csv", Body=training.csv(rows_of(features)))
    sagemaker = cloud.client("sagemaker")
    channel = training.channel("train", f"s3://{lake.bucket}/three/")
    sagemaker.create_training_job(**request_of(lake, _NAME, [channel]))
    job = training.finished(sagemaker, _NAME)
    serving.create_model(sagemaker, _NAME, job["ModelArtifacts"]["S3ModelArtifacts"])
    serving.create_config(sagemaker, _NAME, **{_NAME: 1.0})
    sagemaker.create_endpoint(EndpointName=_NAME, EndpointConfigName=_NAME)
    request.addfinalizer(lambda: sagemaker.delete_endpoint(EndpointName=_NAME))
    wait_for(
        lambda: sagemaker.describe_endpoint(EndpointName=_NAME)["EndpointStatus"] == "InService", what="the endpoint"
    )


def rows_of(features: int) -> Any:
    return training.rows(1, 200)[:, : features + 1]


def answer_to(request: pytest.FixtureRequest, content_type: str, body: str) -> str:
    """Return the container's answer; of a refusal the status and the message."""
    cloud: Cloud = request.getfixturevalue("cloud")
    asked = {"EndpointName": _NAME, "ContentType": content_type, "Body": body}
    try:
        text: bytes = cloud.client("sagemaker-runtime").invoke_endpoint(**asked)["Body"].read()
    except ClientError as error:
        return f"{error.response['OriginalStatusCode']}: {error.response['OriginalMessage']}"
    return text.decode()


def check_training_channel(case: Case, request: pytest.FixtureRequest) -> None:
    """Read Sluice's own channel of rows that have truth values, a label in the middle, and an index."""
    assert case.given["training_channel"] == "Sluice's own"
    assert case.right["training_channel"] == (
        "no header, label first, no index, truth values as 1 and 0, content type set"
    )
    workspace: Workspace = request.getfixturevalue("workspace")
    days = [frame_of(day) for day in range(1, 9)]
    for day, rows in enumerate(days, 1):
        put_rows(workspace.lake, "running", f"2013-01-{day:02d}", rows)
    snapshot = make_snapshot(workspace)
    training_of = workspace.pipeline.require_training()
    asked = training_request(workspace, training_of.candidates[0], snapshot)
    expected = pd.concat(days).astype({"value": int, "late": int}).set_index("total")
    for channel in asked["InputDataConfig"]:
        assert channel["ContentType"] == "text/csv"
        folder = channel["DataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{workspace.lake.bucket}/")
        lines = [
            line.split(",")
            for key in keys_below(workspace.lake, folder)
            for line in body_of(workspace.lake, key).decode().splitlines()
        ]
        assert lines
        for label, value, total in lines:
            assert [label, value] == [str(each) for each in expected.loc[float(total), ["late", "value"]]]


def frame_of(day: int) -> pd.DataFrame:
    total = day + np.arange(20) / 100
    value = np.arange(20) % 3 == 0
    return pd.DataFrame({"value": value, "late": np.arange(20) % 2 == 0, "total": total}, index=range(100, 120))


def check_linear_learner(case: Case, request: pytest.FixtureRequest) -> None:
    assert case.right["linear_learner"] == "content type csv is refused, text/csv taken"
    cloud: Cloud = request.getfixturevalue("cloud")
    bucket = request.getfixturevalue("lake").bucket
    clients = [cloud.client(service) for service in ("s3", "sagemaker", "sagemaker-runtime")]
    jobs = linear_learner.Jobs(*clients, bucket)
    settings = {"predictor_type": "regressor", "mini_batch_size": "20"}
    refused = case.given["linear_learner"]["content_type"]
    ended = {}
    for name, content_type in (("refused", refused), ("taken", "text/csv")):
        jobs.start(f"{_NAME}-{name}", settings, {"train": training.csv(rows_of(3))}, content_type)
        ended[name] = jobs.finished(f"{_NAME}-{name}")
    assert ended["refused"]["TrainingJobStatus"] == "Failed"
    assert f"No iterator has been registered for ContentType ('{refused}', '1.0')" in ended["refused"]["FailureReason"]
    assert ended["taken"]["TrainingJobStatus"] == "Completed"
