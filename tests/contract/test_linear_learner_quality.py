"""How good Linear Learner's model of the flights is, with the default hyperparameters, through the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from tests.pipelines.flights import flight_days

from localcloud.testing.linear_learner import Array, Jobs, csv
from pipelines.flights.vocabulary import FEATURES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


@pytest.fixture(scope="module")
def jobs(s3: S3Client, sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient) -> Jobs:
    s3.create_bucket(Bucket="linear-learner-quality")
    return Jobs(s3, sagemaker, runtime, "linear-learner-quality")


# The flights of 2013: trained on January to September, validated on October, tested on November and December.

CODES = ("carrier_code", "origin_code", "weekday")
MINUTES = "departure_minute"


def encoded(rows: pd.DataFrame, train: Array) -> Array:
    """Return the features as a linear model needs them: no gaps, no codes, no long tails."""
    columns: list[Array] = []
    for name in (each for each in FEATURES if each not in (*CODES, "destination_code")):
        column = rows[name]
        if column.isna().any():
            columns.append(column.isna().to_numpy())
        low, high = column[train].quantile([0.005, 0.995])
        tailed = column.clip(low, high) if column.nunique() > 2 else column
        columns.append(tailed.fillna(tailed[train].mean()).to_numpy())
    for codes in (*(rows[name] for name in CODES), rows[MINUTES] // 60):
        columns.append(pd.get_dummies(codes).to_numpy())
    return np.column_stack(columns).astype(np.float32)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_model_of_the_flights_reaches_its_auc(jobs: Jobs, name: str) -> None:
    rows = flight_days.features_of_year()
    month, late = rows["event_time"].dt.month.to_numpy(), rows["late"].to_numpy()
    features = encoded(rows, month <= 9)
    train, validation, test = month <= 9, month == 10, month >= 11
    channels = {"train": csv(late[train], features[train]), "validation": csv(late[validation], features[validation])}
    endpoint = jobs.deploy(jobs.completed(name, {"predictor_type": "binary_classifier"}, channels))
    scores = [each["score"] for part in parts(features[test]) for each in jobs.predictions(endpoint, part)]
    assert roc_auc_score(late[test], scores) >= 0.73


def parts(features: Array) -> Iterator[Array]:
    """Split the features into parts of a size that a request may have."""
    yield from np.array_split(features, len(features) // 5000 + 1)
