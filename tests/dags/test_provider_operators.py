"""The AWS provider's own operators and sensor, unmodified, in a real DAG run against the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome

from localcloud.testing import training

NAME, BUCKET = "by-the-provider", "provider-dag"


@pytest.mark.slow
def test_classes_of_the_provider_train_deploy_and_transform(cloud: Cloud, airflow_home: AirflowHome) -> None:
    s3, rows = cloud.client("s3"), training.rows(9, 20)[:, 1:]
    training.put_data(s3, BUCKET)
    s3.put_object(Bucket=BUCKET, Key="rows/a.csv", Body=training.csv(rows))
    folder = {"AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).with_name("provider"))}
    airflow_home.command(
        *("airflow", "dags", "test", "provider_sagemaker", "2026-01-02"),
        *("--conf", f'{{"bucket": "{BUCKET}", "name": "{NAME}"}}'),
        environment=folder,
    ).succeeded()

    booster = training.booster_of(s3, f"s3://{BUCKET}/models/{NAME}/output/model.tar.gz")
    expected = training.predictions(booster, rows)
    transformed = s3.get_object(Bucket=BUCKET, Key="scores/a.csv.out")["Body"].read().decode()
    assert [float(line) for line in transformed.splitlines()] == pytest.approx(expected, rel=1e-6)
    runtime = cloud.client("sagemaker-runtime")
    live = runtime.invoke_endpoint(EndpointName=NAME, ContentType="text/csv", Body=training.csv(rows))["Body"].read()
    assert [float(line) for line in live.decode().splitlines()] == pytest.approx(expected, rel=1e-6)
    assert booster.num_boosted_rounds() == 12
