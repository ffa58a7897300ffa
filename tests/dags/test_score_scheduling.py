"""In a whole Airflow, each transform run is followed by a scoring run of its partitions, once a model is live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import numpy as np
import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment, fresh_airflow
from tests.dags.declared import extended_pipelines
from tests.dags.running_airflow import Airflow, running_airflow
from tests.sluice.lake_contents import keys_below, put_raw, rows_of
from tests.sluice.serving.live import train
from tests.sluice.toy import message, reading

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration.loading import load_pipeline
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.models import model_of
from sluice.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PIPELINES = ROOT / "tests" / "dags" / "pipelines"
with extended_pipelines(PIPELINES):
    PUMPS = load_pipeline("pumps")


@pytest.fixture(scope="module")
def lake(cloud: Cloud) -> Lake:
    provision(cloud, PUMPS)
    return Lake(cloud.client("s3"), find(cloud, "pumps").bucket, "pumps")


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder, home_folder = tmp_path_factory.mktemp("pumps"), tmp_path_factory.mktemp("pumps_home")
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    (folder / "pipelines" / "pumps").symlink_to(PIPELINES / "pumps")
    with fresh_airflow(cloud, home_folder) as home:
        home.close()
        environment = {**airflow_environment(cloud, home_folder), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
        with running_airflow(AirflowHome(home_folder, environment)) as running:
            wait_for(lambda: "pumps_score" in dags(running), what="the DAG")
            running.unpause("pumps_transform", "pumps_score")
            yield running


def dags(airflow: Airflow) -> list[str]:
    return [each["dag_id"] for each in airflow.call("GET", "dags?limit=100")["dags"]]


def put_day(lake: Lake, day: int, count: int) -> None:
    random, messages = np.random.default_rng(day), []
    for n in range(count):
        vibration, at = float(random.uniform(-1, 1)), datetime.fromisoformat(f"2013-01-{day:02d}T00:00:00+00:00")
        failed = int(vibration + random.normal(0, 0.4) > 0)
        body = reading(f"{day}-{n}", at + timedelta(minutes=n), vibration=vibration, heat=n, failed=failed)
        messages.append(message(body, n + 1))
    put_raw(lake, PUMPS.sources[0], f"2013-01-{day:02d}", messages)  # type: ignore[arg-type]


def transform(airflow: Airflow, first: str, last: str) -> dict[str, Any]:
    """Transform partitions, and return the scoring run that follows once it has ended."""
    before = set(airflow.runs("pumps_score"))
    run = airflow.trigger("pumps_transform", **{"from": first, "to": last})
    assert airflow.ended("pumps_transform", run)["state"] == "success"
    (name,) = wait_for(lambda: set(airflow.runs("pumps_score")) - before, what="the scoring run")
    return airflow.ended("pumps_score", name, seconds=240)  # it polls once a minute


def states(airflow: Airflow, run: dict[str, Any]) -> dict[str, str]:
    return {each["task_id"]: each["state"] for each in airflow.tasks("pumps_score", run["dag_run_id"])}


def make_live(cloud: Cloud, lake: Lake) -> None:
    """Train the pipeline's model, and make it live without a verdict."""
    region = cloud.environment["AWS_DEFAULT_REGION"]
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)
    aws = Aws(session, lambda name: cloud.sagemaker_endpoint_url if "sagemaker" in name else cloud.endpoint_url)
    workspace = Workspace(PUMPS, find(cloud, "pumps"), lake, aws)
    fingerprint, candidate = make_snapshot(workspace).fingerprint, PUMPS.require_training().candidates[0]
    model = model_of(candidate, train(workspace, fingerprint, candidate), fingerprint)
    record = DeploymentRecord(endpoint=None, model=model, verdict=1, metrics={"auc": 0.9}, recipe=None)
    record_deployment(lake, record)


def test_scores_follow_transformed_partitions_and_late_data(cloud: Cloud, lake: Lake, airflow: Airflow) -> None:
    for day in range(1, 9):
        put_day(lake, day, 60)

    early = transform(airflow, "2013-01-01", "2013-01-08")

    assert early["run_type"] == "asset_triggered"
    assert early["state"] == "success"
    assert set(states(airflow, early).values()) == {"skipped"}
    assert keys_below(lake, "pumps/risks/") == []

    make_live(cloud, lake)
    put_day(lake, 8, 70)
    late = transform(airflow, "2013-01-08", "2013-01-08")

    assert late["state"] == "success", states(airflow, late)
    assert set(states(airflow, late).values()) == {"success"}
    assert len(rows_of(lake, "risks", "dt=2013-01-08")) == 70
    assert {key.split("/")[2] for key in keys_below(lake, "pumps/risks/")} == {"dt=2013-01-08"}
