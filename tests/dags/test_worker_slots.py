"""A hundred steps that run on Lambda at the same time hold no worker slot (P9)."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import boto3
import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.dags.running_airflow import running_airflow
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import message, reading

import pipelines
from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.declaration import FifoQueue
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
EVENTS = FifoQueue("events", event_id="id", event_time="at")
READINGS = Path(__file__).parent / "pipelines" / "readings"
SLOTS = """
from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Input, Lambda, Pipeline, Step

PIPELINE = Pipeline(
    name="slots",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("slow", run="steps:slow", reads=(Input("conform"),), runtime=Lambda(memory_mb=512)),
    ),
)
"""
SLOW = """
import time

def slow(conform):
    time.sleep(20)
    return conform
"""
# A hundred tasks of one step, and nothing else.
SLOTS_DAG = """
from datetime import UTC, datetime

from airflow.sdk import DAG

from sluice_airflow.steps import StepOperator

with DAG("slots", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC), max_active_tasks=200):
    StepOperator.partial(task_id="slow", pipeline="slots", step="slow").expand(partitions={partitions})
"""
CHUNKS = 100


@pytest.fixture
def hundred_days(
    cloud: Cloud, image_pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Workspace, AirflowHome]:
    """An Airflow with one slot, and the DAG of a step over a hundred conformed days."""
    folder = image_pipelines / "slots"
    folder.mkdir()
    shutil.copy(READINGS / "contract.py", folder / "contract.py")
    for name, source in {"__init__": "", "pipeline": SLOTS, "steps": SLOW}.items():
        (folder / f"{name}.py").write_text(source)
    days = [(FIRST + timedelta(days=n)).date().isoformat() for n in range(CHUNKS)]
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "slots.py").write_text(SLOTS_DAG.format(partitions=[f"dt={day}" for day in days]))
    environment = {
        **airflow_environment(cloud, tmp_path),
        "PYTHONPATH": f"{image_pipelines.parent}:{ROOT / 'include'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
    }
    home = AirflowHome(tmp_path, environment)
    home.command("sluice", "provision", "slots").succeeded()
    home.airflow("db", "migrate").succeeded()
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(image_pipelines)])
    session = boto3.Session("test", "test", region_name=cloud.environment["AWS_DEFAULT_REGION"])
    workspace = Workspace.open(Aws(session, cloud.endpoint), "slots")
    for day in days:
        put_raw(workspace.lake, EVENTS, day, [message(reading("r", f"{day}T07:00:00+00:00"))])
    run_step(workspace, "conform", f"dt={days[0]}..dt={days[-1]}")
    return workspace, home


def most_at_once(workspace: Workspace) -> int:
    """Return how many attempts ran at the same time, by the times at which S3 has their claims and results."""
    pages = workspace.lake.s3.get_paginator("list_objects_v2").paginate(
        Bucket=workspace.lake.bucket, Prefix=f"{workspace.pipeline.name}/computed/"
    )
    changes = [
        (found["LastModified"], 1 if found["Key"].endswith("-claim.json") else -1)
        for page in pages
        for found in page["Contents"]
    ]
    assert len(changes) == 2 * CHUNKS
    return max(accumulate(change for _, change in sorted(changes)))


def test_hundred_chunks_on_lambda_hold_no_worker_slot(hundred_days: tuple[Workspace, AirflowHome]) -> None:
    workspace, home = hundred_days

    with running_airflow(home, {"AIRFLOW__CORE__PARALLELISM": "1"}) as airflow:
        wait_for(lambda: "slots" in {dag["dag_id"] for dag in airflow.call("GET", "dags")["dags"]}, what="the DAG")
        airflow.unpause("slots")
        run = airflow.trigger("slots")
        ended = airflow.ended("slots", run, seconds=1_000)
        tasks = airflow.call("GET", f"dags/slots/dagRuns/{run}/taskInstances?limit=200")["task_instances"]

    assert ended["state"] == "success"
    assert [task["try_number"] for task in tasks] == [1] * CHUNKS
    # With one slot, a task that held it would keep all others from starting: there would be one function at a time.
    assert most_at_once(workspace) >= 5
    assert len(workspace.lake.partitions("slow")) == CHUNKS
