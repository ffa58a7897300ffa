"""A live model is watched, trained again once the relation has changed, and replaced by a canary."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.sluice.lake_contents import body_of, keys_below, put_rows
from tests.sluice.toy import CONTRACT

from localcloud.testing.waiting import wait_for
from sluice.aws.resources import Resources, find
from sluice.lake.store import Lake

_DECLARATION = '''
"""Readings whose meaning changes."""

from datetime import UTC, datetime, timedelta

from sluice.declaration import (
    Canary, Conform, Deployment, FifoQueue, Gate, Monitoring, Pipeline, Training, XGBoost,
)

PIPELINE = Pipeline(
    name="tides",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(Conform("rows", source="events", contract="contract:Reading"),),
    training=Training(
        rows="rows",
        label="late",
        features=("value", "total"),
        candidates=(
            XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 20, "nthread": 1}),
        ),
        gate=Gate("auc", at_least=0.7),
    ),
    deployment=Deployment(
        endpoint="tides-late",
        instances=2,
        canary=Canary(share=0.5, bake=timedelta(seconds=3), slowest=timedelta(seconds=60)),
        monitoring=Monitoring(retrain=True),
    ),
)
'''
RUN = "2013-01-20"
OLD, NEW = range(1, 9), range(9, 17)

# Pipelines that watch in another way, and what a fresh process finds of their DAGs.
_OTHERS = {
    "quiet": "deployment=replace(TIDES.deployment, monitoring=Monitoring(schedule='@hourly'))",
    "unwatched": "deployment=replace(TIDES.deployment, monitoring=None)",
    "never": "deployment=replace(TIDES.deployment, monitoring=Monitoring(schedule='never'))",
}
_OTHER = """
from dataclasses import replace
from pipelines.tides.pipeline import PIPELINE as TIDES
from sluice.declaration import Monitoring
PIPELINE = replace(TIDES, name={name!r}, {change})
"""
_LIST_DAGS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
found = {
    name: [dag.schedule, dag.max_active_runs, [task.task_id for task in dag.topological_sort()], dag.doc_md]
    for name, dag in bag.dags.items() if name.endswith("_monitor")
}
print(json.dumps([found, list(bag.import_errors.values())]))
"""


def add(folder: Path, name: str, declaration: str) -> None:
    """Add a pipeline to the package ``pipelines`` in a folder."""
    (folder / "pipelines" / name).mkdir(parents=True)
    (folder / "pipelines" / "__init__.py").touch()
    for module, source in (("__init__", ""), ("pipeline", declaration), ("contract", CONTRACT)):
        (folder / "pipelines" / name / f"{module}.py").write_text(source)


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    folder, home = tmp_path_factory.mktemp("tides"), tmp_path_factory.mktemp("airflow")
    add(folder, "tides", _DECLARATION)
    environment = {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    airflow = AirflowHome(home, environment)
    try:
        airflow.airflow("db", "migrate").succeeded()
        yield airflow
    finally:
        airflow.close()


@pytest.fixture(scope="module")
def resources(cloud: Cloud, airflow: AirflowHome) -> Resources:
    airflow.command("sluice", "provision", "tides").succeeded()
    return find(cloud, "tides")


def put_days(lake: Lake, days: Sequence[int], *, rows: int, sign: int) -> None:
    """Put days in which a high value makes the label more probable, or less."""
    for day in days:
        random = np.random.default_rng(day)
        value, total = random.uniform(-1, 1, (2, rows)).round(3)
        late = (sign * value + random.normal(0, 0.4, rows) > 0).astype(int)
        put_rows(lake, "rows", f"2013-01-{day:02d}", pd.DataFrame({"late": late, "value": value, "total": total}))


def taken(cloud: Cloud, resources: Resources, stage: str) -> list[dict[str, Any]]:
    """Take every completion event that waits, as the subscriber; return those of a stage."""
    sqs, queue = cloud.client("sqs"), resources.completions_queue
    events: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        events.extend(json.loads(message["Body"]) for message in messages)
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [event for event in events if event["stage"] == stage]


def triggered(airflow: AirflowHome) -> list[str]:
    """Return the training runs in Airflow's database that were not started by `dags test`."""
    with closing(sqlite3.connect(airflow.folder / "airflow.db")) as database:
        rows = database.execute("SELECT run_id FROM dag_run WHERE dag_id = 'tides_train' ORDER BY id").fetchall()
    return [run_id for (run_id,) in rows if run_id.startswith("monitoring=")]


def record(lake: Lake, folder: str, number: int) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(body_of(lake, f"tides/{folder}/{number:06d}.json"))
    return read


@contextmanager
def client(cloud: Cloud) -> Iterator[Counter[str]]:
    """Ask the endpoint in a loop while the context lasts; yield the counts of its answers and errors."""
    counts, over, runtime = Counter[str](), Event(), cloud.client("sagemaker-runtime")

    def ask() -> None:
        while not over.wait(0.02):
            try:
                answer = runtime.invoke_endpoint(EndpointName="tides-late", ContentType="text/csv", Body=b"0.9,0")
                counts["high" if float(answer["Body"].read()) > 0.5 else "low"] += 1
            except Exception as error:
                counts[str(error)] += 1

    thread = Thread(target=ask)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join(30)


def test_only_a_pipeline_that_watches_has_the_dag(tmp_path: Path) -> None:
    add(tmp_path, "tides", _DECLARATION)
    for name, change in _OTHERS.items():
        add(tmp_path, name, _OTHER.format(name=name, change=change))

    done = subprocess.run(
        [sys.executable, "-c", _LIST_DAGS, str(ROOT / "dags")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'include'}", "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    dags, errors = json.loads(done.stdout.splitlines()[-1])
    docs = {name: dag.pop() for name, dag in dags.items()}
    assert dags == {
        "tides_monitor": ["@daily", 1, ["watch", "announce", "is_outdated", "retrain"]],
        "quiet_monitor": ["@hourly", 1, ["watch", "announce"]],
    }
    for words in ("| **in** |", "| **out** |", "| **order** |", "| **re-run** |", "**Params.**", "**If it fails.**"):
        assert words in docs["quiet_monitor"]
    (error,) = errors
    assert "pipeline never: Airflow refuses the monitoring schedule 'never' (" in error


@pytest.mark.slow  # one to two minutes: two trainings, a canary and four looks
def test_changed_relation_is_found_trained_again_judged_and_deployed(
    cloud: Cloud, airflow: AirflowHome, resources: Resources
) -> None:
    lake = Lake(cloud.client("s3"), resources.bucket, "tides")
    put_days(lake, OLD, rows=60, sign=1)
    airflow.dags_test("tides_train", RUN, poll_seconds=0.2).succeeded()
    airflow.dags_test("tides_monitor", RUN).succeeded()
    assert record(lake, "monitoring", 1)["findings"] == []
    assert triggered(airflow) == []
    assert taken(cloud, resources, "monitoring") == []
    first = record(lake, "deployments", 1)["model"]["job"]

    put_days(lake, NEW, rows=240, sign=-1)
    with client(cloud) as counts:
        airflow.dags_test("tides_monitor", RUN).succeeded()
        (event,) = taken(cloud, resources, "monitoring")
        (run,) = triggered(airflow)
        airflow.dags_test("tides_monitor", "2013-01-21").succeeded()
        assert taken(cloud, resources, "monitoring") == []
        assert triggered(airflow) == [run]
        before = set(counts)
        airflow.dags_test("tides_train", "2013-01-21", poll_seconds=0.2).succeeded()
        seen = set(counts)
        counts.clear()
        wait_for(lambda: counts.total() > 20, what="twenty answers")
        after = set(counts)
        airflow.dags_test("tides_monitor", "2013-01-22").succeeded()

    report = record(lake, "monitoring", 2)
    assert report["partitions"] == "dt=2013-01-10..dt=2013-01-16"
    assert report["metrics"]["auc"]["value"] < 0.3
    (finding,) = event["findings"]
    assert finding.startswith(f"auc is {report['metrics']['auc']['value']:.4f} (")
    assert finding.endswith("and the bound is 0.7; tides_train is triggered: read its verdict")
    verdict = record(lake, "evaluations/verdicts", 2)
    deployed = record(lake, "deployments", 2)
    assert verdict["champion"] == first
    assert verdict["winner"] == deployed["model"]["job"] != first
    judged = {each["model"]["job"]: each for each in verdict["judgements"]}
    assert judged[first]["rows"] == judged[verdict["winner"]]["rows"] > 0
    assert judged[first]["metrics"]["auc"]["value"] < 0.3
    assert judged[verdict["winner"]]["metrics"]["auc"]["value"] > 0.7
    assert (before, seen, after) == ({"high"}, {"high", "low"}, {"low"})
    last = len(keys_below(lake, "tides/monitoring/"))
    assert record(lake, "monitoring", last)["findings"] == []
    assert record(lake, "monitoring", last)["model"] == verdict["winner"]
