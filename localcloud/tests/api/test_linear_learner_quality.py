"""The quality of Linear Learner's models with the default hyperparameters, through the API.

Only mini_batch_size is set where the data has fewer rows than its default of 1,000, as the service demands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import RidgeCV

from localcloud.testing.linear_learner import Array, Jobs, csv

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


@pytest.fixture(scope="module")
def jobs(s3: S3Client, sagemaker: SageMakerClient, runtime: SageMakerRuntimeClient) -> Jobs:
    s3.create_bucket(Bucket="linear-learner-quality")
    return Jobs(s3, sagemaker, runtime, "linear-learner-quality")


def shuffled(load: Any) -> tuple[Array, Array]:
    """Return features and labels of a data set, in random order."""
    features, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return features[order], labels[order]


@pytest.mark.slow
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
