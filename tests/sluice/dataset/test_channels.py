"""Rows as a model takes them, and what SageMaker's XGBoost makes of a row whose only feature is missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Cloud

from localcloud.testing import serving, training
from localcloud.testing.waiting import wait_for
from sluice.dataset.channels import form_of
from sluice.dataset.formats.csv import csv_rows
from sluice.declaration import LinearLearner, XGBoost
from sluice.lake.store import Lake

FLOATS = st.floats(allow_infinity=False)


def test_form_is_that_which_the_algorithm_takes() -> None:
    assert form_of(XGBoost({"objective": "binary:logistic", "num_round": 1})).name == "gaps"
    assert form_of(LinearLearner({"predictor_type": "regressor"})).name == "filled"


def test_rows_are_csv_with_empty_fields() -> None:
    frame = pd.DataFrame({"a": [1, 0.1, np.nan, 1e-7], "b": [np.nan, 1 / 3, np.nan, -2.5]})

    assert csv_rows(frame) == ["1,", "0.1,0.3333333333333333", ",", "1e-7,-2.5"]
    assert csv_rows(frame[["b"]]) == ["nan", "0.3333333333333333", "nan", "-2.5"]
    assert csv_rows(frame.iloc[:0]) == []


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(FLOATS, min_size=width, max_size=width), max_size=5)))
def test_rows_hold_every_number_exactly(rows: list[list[float]]) -> None:
    width = len(rows[0]) if rows else 2

    lines = csv_rows(pd.DataFrame(np.array(rows, dtype=float).reshape(len(rows), width)))

    found = [[float(cell or "nan") for cell in line.split(",")] for line in lines]
    assert all(lines)
    assert [[repr(cell) for cell in row] for row in found] == [[repr(cell) for cell in row] for row in rows]


@pytest.fixture
def one_feature(cloud: Cloud, lake: Lake, own_name: str) -> tuple[xgboost.Booster, str]:
    """A model of one feature, which is often missing, and its name in SageMaker."""
    random = np.random.default_rng(11)
    late = (random.random(300) < 0.5).astype(float)
    only = np.where((late == 1) & (random.random(300) < 0.5), np.nan, (late + random.normal(0, 0.6, 300)).round(2))
    lines = [f"{label:g},{row}\n" for label, row in zip(late, csv_rows(pd.DataFrame({"only": only})), strict=True)]
    for channel in ("train", "validation"):
        lake.s3.put_object(Bucket=lake.bucket, Key=f"data/{channel}/part-0.csv", Body="".join(lines).encode())
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**training.request(own_name, training.Data(lake.bucket, np.empty(0))))
    job = training.finished(sagemaker, own_name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    artefact = job["ModelArtifacts"]["S3ModelArtifacts"]
    serving.create_model(sagemaker, own_name, artefact)
    # What the library alone learns from the same rows as an array: the job has read a missing value as missing.
    matrix = xgboost.DMatrix(only.reshape(-1, 1), label=late)
    alone = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, matrix, 12)
    booster = training.booster_of(lake.s3, artefact)
    assert booster.predict(matrix) == pytest.approx(alone.predict(matrix), abs=1e-5)
    return booster, own_name


def test_only_feature_that_is_missing_trains_and_is_scored(
    cloud: Cloud, lake: Lake, one_feature: tuple[xgboost.Booster, str]
) -> None:
    """In the channel, at an endpoint, and in a batch transform: an empty line would be no row there."""
    booster, name = one_feature
    values = [math.nan, 0.5, math.nan, -1.25, math.nan]
    expected = pytest.approx(training.predictions(booster, np.array(values).reshape(-1, 1)), rel=1e-6)
    body = "\n".join(csv_rows(pd.DataFrame({"only": values})))
    sagemaker, runtime = cloud.client("sagemaker"), cloud.client("sagemaker-runtime")

    serving.create_config(sagemaker, name, **{name: 1.0})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    serving.settled(sagemaker, name)
    answered = serving.invoke(runtime, name, body)["Body"].read().decode()
    alone = serving.invoke(runtime, name, "nan")["Body"].read().decode()

    assert [float(score) for score in answered.split()] == expected
    assert float(alone) == pytest.approx(float(answered.split()[0]), rel=1e-6)
    assert transformed(sagemaker, lake, name, body) == expected


def transformed(sagemaker: Any, lake: Lake, name: str, body: str) -> list[float]:
    lake.s3.put_object(Bucket=lake.bucket, Key="in/rows.csv", Body=f"{body}\n".encode())
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{lake.bucket}/in/"}}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"s3://{lake.bucket}/out", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )

    def status() -> str | None:
        found = sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"]
        return found if found in ("Completed", "Failed") else None

    assert wait_for(status, what=f"the end of transform {name}") == "Completed"
    output = lake.s3.get_object(Bucket=lake.bucket, Key="out/rows.csv.out")["Body"].read().decode()
    return [float(line) for line in output.splitlines()]
