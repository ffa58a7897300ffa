"""The freshness DAG exists where a step declares a bound, and announces what exceeds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.dags.test_monitor_dag import add, taken
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, message, reading

from sluice.aws.resources import find
from sluice.lake.store import Lake

_DECLARATION = '''
"""Readings that have to be fresh."""

from datetime import UTC, datetime, timedelta

from sluice.declaration import Conform, FifoQueue, Pipeline

PIPELINE = Pipeline(
    name="fresh",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(Conform("rows", source="events", contract="contract:Reading"{bound}),),
)
'''
_BOUND = ", fresh_within=timedelta(hours=6)"
_LIST_DAGS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
found = {name: [dag.schedule, [task.task_id for task in dag.tasks]] for name, dag in bag.dags.items()}
print(json.dumps([{name: dag for name, dag in found.items() if name.endswith("_freshness")}, bag.import_errors]))
"""


def test_only_a_pipeline_that_declares_a_bound_has_the_dag(tmp_path: Path) -> None:
    add(tmp_path, "fresh", _DECLARATION.format(bound=_BOUND))
    add(tmp_path, "relaxed", _DECLARATION.format(bound="").replace('"fresh"', '"relaxed"'))

    done = subprocess.run(
        [sys.executable, "-c", _LIST_DAGS, str(ROOT / "dags")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'include'}", "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    dags, errors = json.loads(done.stdout.splitlines()[-1])
    assert (dags, errors) == ({"fresh_freshness": ["*/15 * * * *", ["watch"]]}, {})


@pytest.mark.slow
def test_look_announces_a_breach_once(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, home = tmp_path_factory.mktemp("fresh"), tmp_path_factory.mktemp("airflow")
    add(folder, "fresh", _DECLARATION.format(bound=_BOUND))
    environment = {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    airflow = AirflowHome(home, environment)
    try:
        airflow.airflow("db", "migrate").succeeded()
        airflow.command("sluice", "provision", "fresh").succeeded()
        resources = find(cloud, "fresh")
        lake = Lake(cloud.client("s3"), resources.bucket, "fresh")
        put_raw(lake, EVENTS, "2013-01-01", [message(reading("e", "2013-01-01T07:00:00+00:00"))])

        for day in ("2013-01-20", "2013-01-21"):
            airflow.dags_test("fresh_freshness", day).succeeded()

        (event,) = taken(cloud, resources, "freshness")
    finally:
        airflow.close()
    assert event["subject"] == "rows"
    assert event["findings"] == [
        "rows of dt=2013-01-01 is not fresh within 6 h 0 min: never made; look at fresh_dispatch, and at the runs of "
        "fresh_transform for these partitions"
    ]
