"""A person approves a new model in the web UI, in a whole Airflow; one that is rejected never goes live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment, fresh_airflow
from tests.dags.running_airflow import Airflow, running_airflow
from tests.sluice.lake_contents import put_rows
from tests.sluice.toy import EVENTS

from localcloud.testing.waiting import wait_for
from sluice.aws.resources import find
from sluice.declaration import (
    Conform,
    Deployment,
    Gate,
    Pipeline,
    Training,
    XGBoost,
)
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_DECLARATION = '''
"""Readings, and a model that a person has to approve."""

from datetime import UTC, datetime, timedelta

from sluice.declaration import Conform, Deployment, FifoQueue, Gate, Pipeline, Training, XGBoost

PIPELINE = Pipeline(
    name="asked",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(Conform("conform", source="events", contract="contract:Reading"),),
    training=Training(
        rows="conform",
        label="late",
        features=("value", "total"),
        candidates=(XGBoost({"objective": "binary:logistic", "num_round": 5, "nthread": 1}),),
        gate=Gate("auc", at_least=0.6, rows=1, margin=1),
    ),
    deployment=Deployment(endpoint="asked", approval=timedelta(hours=1)),
)
'''


@pytest.fixture(scope="module")
def lake(cloud: Cloud) -> Lake:
    """The lake of the pipeline, with closed partitions of the step that is trained on."""
    provision(
        cloud,
        Pipeline(
            name="asked",
            every="day",
            start=datetime(2013, 1, 1, tzinfo=UTC),
            sources=(EVENTS,),
            steps=(Conform("conform", source="events", contract="contract:Reading"),),
            training=Training(
                rows="conform",
                label="late",
                features=("value", "total"),
                candidates=(XGBoost({"objective": "binary:logistic", "num_round": 5}),),
                gate=Gate("auc", at_least=0.6),
            ),
            deployment=Deployment("asked"),
        ),
    )
    return Lake(cloud.client("s3"), find(cloud, "asked").bucket, "asked")


def put_days(lake: Lake, days: range) -> None:
    random = np.random.default_rng(days.stop)
    for day in days:
        value, total = random.uniform(-1, 1, (2, 80)).round(3)
        late = (value + random.normal(0, 0.4, 80) > 0).astype(int)
        rows = pd.DataFrame({"late": late, "value": value, "total": total})
        put_rows(lake, "conform", f"2013-01-{day:02d}", rows)


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("asked")
    (folder / "pipelines" / "asked").mkdir(parents=True)
    (folder / "pipelines" / "__init__.py").touch()
    (folder / "pipelines" / "asked" / "__init__.py").touch()
    (folder / "pipelines" / "asked" / "pipeline.py").write_text(_DECLARATION)
    contract = "from pydantic import BaseModel\n\nclass Reading(BaseModel):\n    id: str\n"
    (folder / "pipelines" / "asked" / "contract.py").write_text(contract)
    home_folder = tmp_path_factory.mktemp("asked_home")
    with fresh_airflow(cloud, home_folder) as home:
        home.close()
        environment = {**airflow_environment(cloud, home_folder), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
        with running_airflow(AirflowHome(home_folder, environment)) as running:
            wait_for(lambda: "asked_train" in dags(running), what="the DAG")
            yield running


def dags(airflow: Airflow) -> list[str]:
    return [each["dag_id"] for each in airflow.call("GET", "dags?limit=100")["dags"]]


def asked(airflow: Airflow, run_id: str) -> dict[str, Any]:
    """Return the task that asks, once it does."""

    def probe() -> dict[str, Any] | None:
        tasks = {each["task_id"]: each for each in airflow.tasks("asked_train", run_id)}
        ended = airflow.run("asked_train", run_id)["state"]
        assert ended not in ("failed", "success"), tasks
        return tasks["approve"] if tasks["approve"]["state"] == "awaiting_input" else None

    return wait_for(probe, seconds=240, what="the question")


def answer(airflow: Airflow, run_id: str, option: str) -> None:
    """Answer as a person does, some moments after the question.

    Airflow 3.3 takes the task for one that was killed if the answer comes before its scheduler has seen that it waits.
    """
    beats = {heartbeat(airflow)}
    wait_for(lambda: beats.add(heartbeat(airflow)) or len(beats) > 2, what="two heartbeats of the scheduler")
    path = f"dags/asked_train/dagRuns/{quote(run_id, safe='')}/taskInstances/approve/-1/hitlDetails"
    airflow.call("PATCH", path, {"chosen_options": [option], "params_input": {}})


def heartbeat(airflow: Airflow) -> str:
    return str(airflow.call("GET", "monitor/health")["scheduler"]["latest_scheduler_heartbeat"])


def test_approved_model_goes_live_and_a_rejected_one_does_not(cloud: Cloud, lake: Lake, airflow: Airflow) -> None:
    sagemaker = cloud.client("sagemaker")
    put_days(lake, range(1, 9))
    airflow.unpause("asked_train")  # the weekly run of the schedule begins at once
    first = wait_for(lambda: next(iter(airflow.runs("asked_train")), None), what="the scheduled run")
    asked(airflow, first)
    path = f"dags/asked_train/dagRuns/{quote(first, safe='')}/taskInstances/approve/-1/hitlDetails"
    question = airflow.call("GET", path)
    assert question["subject"] == "May the new model of asked go live?"
    assert "should be live: its auc is" in question["body"]
    assert sagemaker.list_endpoints(NameContains="asked")["Endpoints"] == []

    answer(airflow, first, "Approve")

    assert airflow.ended("asked_train", first)["state"] == "success"
    live = sagemaker.describe_endpoint(EndpointName="asked")
    assert live["EndpointStatus"] == "InService"
    (record,) = [json.loads(lake.get(key)) for key, _, _ in lake.objects("asked/deployments/")]
    assert record["recipe"]["config"]["EndpointConfigName"] == live["EndpointConfigName"]

    put_days(lake, range(1, 13))
    second = airflow.trigger("asked_train", poll_seconds=0.5)
    asked(airflow, second)
    answer(airflow, second, "Reject")

    assert airflow.ended("asked_train", second)["state"] == "failed"
    assert "was rejected in Airflow's web UI" in airflow.log("asked_train", second, "approve", 1)
    assert sagemaker.describe_endpoint(EndpointName="asked")["EndpointConfigName"] == live["EndpointConfigName"]
    packages = sagemaker.list_model_packages(ModelPackageGroupName="sluice-asked")["ModelPackageSummaryList"]
    assert [each["ModelApprovalStatus"] for each in packages] == ["Approved", "Rejected"]
