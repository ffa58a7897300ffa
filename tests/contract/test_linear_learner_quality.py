"""How good Linear Learner's models are, with the default hyperparameters, through the API.

Only mini_batch_size is set where the data has fewer rows than its default of 1,000, as the service demands.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from tests.contract.linear_learner import Array, Jobs, csv
from tests.pipelines.flights import flight_days

from pipelines.flights.vocabulary import FEATURES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


@pytest.fixture(scope="module")
def jobs(s3: S3Client, sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient) -> Jobs:
    s3.create_bucket(Bucket="linear-learner-quality")
    return Jobs(s3, sagemaker, runtime, "linear-learner-quality")


def shuffled(load: Any) -> tuple[Array, Array]:
    """Features and labels of a data set, in an order that says nothing."""
    features, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return features[order], labels[order]


def test_breast_cancer_in_ten_folds(jobs: Jobs, name: str, tmp_path: Path) -> None:
    features, labels = shuffled(datasets.load_breast_cancer)
    folds = np.arange(len(labels)) % 10
    given = {"predictor_type": "binary_classifier", "mini_batch_size": "100"}
    names = [f"{name[:50]}-{fold}" for fold in range(10)]
    for fold, job in enumerate(names):
        kept = folds != fold
        jobs.start(job, given, {"train": csv(labels[kept], features[kept])})
    hits = 0
    for fold, job in enumerate(names):
        model = jobs.model(jobs.finished(job), tmp_path)
        unseen = folds == fold
        hits += int((model.labels(model.outputs(features[unseen].astype(np.float32))) == labels[unseen]).sum())
    assert hits / len(labels) >= 0.970


def test_digits_on_a_held_out_third(jobs: Jobs, name: str) -> None:
    features, labels = shuffled(datasets.load_digits)
    seen = len(labels) * 2 // 3
    given = {"predictor_type": "multiclass_classifier", "num_classes": "10", "mini_batch_size": "100"}
    job = jobs.completed(name, given, {"train": csv(labels[:seen], features[:seen])})
    predictions = jobs.predictions(jobs.deploy(job), features[seen:])
    assert np.mean([each["predicted_label"] for each in predictions] == labels[seen:]) >= 0.94


def test_diabetes_is_as_good_as_ridge(jobs: Jobs, name: str) -> None:
    features, labels = shuffled(datasets.load_diabetes)
    seen = len(labels) * 2 // 3
    given = {"predictor_type": "regressor", "mini_batch_size": "32"}
    job = jobs.completed(name, given, {"train": csv(labels[:seen], features[:seen])})
    ridge = RidgeCV(np.logspace(-4, 3, 30)).fit(features[:seen], labels[:seen])

    def rmse(predicted: Array) -> float:
        return float(np.sqrt(np.mean((predicted - labels[seen:]) ** 2)))

    scores = np.array([each["score"] for each in jobs.predictions(jobs.deploy(job), features[seen:])])
    assert rmse(scores) <= 1.01 * rmse(ridge.predict(features[seen:]))


# The flights of 2013: trained on January to September, validated on October, tested on November and December.

CODES = ("carrier_code", "origin_code", "weekday")
MINUTES = "departure_minute"


def features_of_month(month: int) -> pd.DataFrame:
    """The rows of the pipeline's ``features``; earlier days are looked at for what they tell of the first ones."""
    first, end = date(2013, month, 1), date(2013 + month // 12, month % 12 + 1, 1)
    look_back = 4 if month > 1 else 0
    start = first - timedelta(days=look_back)
    by_day = flight_days.enriched(flight_days.events_from(start, (end - start).days))
    return pd.concat([flight_days.features(by_day, day) for day in flight_days.days_from(first, (end - first).days)])


def encoded(rows: pd.DataFrame, train: Array) -> Array:
    """Features as a linear model needs them: no gaps, no codes, no long tails."""
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
def test_flights(jobs: Jobs, name: str) -> None:
    with ProcessPoolExecutor(2) as pool:
        rows = pd.concat(pool.map(features_of_month, range(1, 13)), ignore_index=True)
    rows = rows.sort_values("event_time", kind="stable", ignore_index=True)
    month, late = rows["event_time"].dt.month.to_numpy(), rows["late"].to_numpy()
    features = encoded(rows, month <= 9)
    train, validation, test = month <= 9, month == 10, month >= 11
    channels = {"train": csv(late[train], features[train]), "validation": csv(late[validation], features[validation])}
    endpoint = jobs.deploy(jobs.completed(name, {"predictor_type": "binary_classifier"}, channels))
    scores = [each["score"] for part in parts(features[test]) for each in jobs.predictions(endpoint, part)]
    assert roc_auc_score(late[test], scores) >= 0.715


def parts(features: Array) -> Iterator[Array]:
    """Of a size that a request may have."""
    yield from np.array_split(features, len(features) // 5000 + 1)
