"""A signal ends ``airflow dags test`` within seconds, also while it waits for another run."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.draining import workspace_of
from tests.sluice.lake_contents import partition, put_raw
from tests.sluice.toy import EVENTS, TOY, message

from localcloud.testing.waiting import wait_for
from sluice.aws.resources import find
from sluice.lake.store import Lake
from sluice.sources.due import record_started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAYS = ("2013-01-01", "2013-01-02")
DECLARATION = '''
"""Swells: the last step looks back, so a run waits for that of the day before it."""

from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Input, Pipeline, Step

PIPELINE = Pipeline(
    name="swells",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contracts:Swell"),
        Step("levels", run="steps:levels", reads=(Input("conform", look_back=1),)),
    ),
)
'''
CONTRACT = "from pydantic import BaseModel\n\nclass Swell(BaseModel):\n    id: str\n    at: str\n"
STEPS = "def levels(conform, conform_before):\n    return conform.assign(before=len(conform_before))\n"


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """An Airflow in which the run of the first day is at work for ever, and both days have landed."""
    folder, home = (tmp_path_factory.mktemp(name) for name in ("swells", "swells-home"))
    (folder / "pipelines" / "swells").mkdir(parents=True)
    (folder / "pipelines" / "__init__.py").symlink_to(ROOT / "include" / "pipelines" / "__init__.py")
    for name, source in {"pipeline": DECLARATION, "contracts": CONTRACT, "steps": STEPS}.items():
        (folder / "pipelines" / "swells" / f"{name}.py").write_text(source)
    environment = {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    airflow = AirflowHome(home, environment)
    airflow.command("sluice", "provision", "swells").succeeded()
    airflow.command("airflow", "db", "migrate").succeeded()
    airflow.command("airflow", "dags", "reserialize").succeeded()
    first = ("--run-id", "dt=2013-01-01", "--logical-date", "2013-01-01")
    airflow.command("airflow", "dags", "trigger", "swells_transform", *first).succeeded()
    with closing(sqlite3.connect(home / "airflow.db")) as database, database:
        database.execute("UPDATE dag_run SET state = 'running' WHERE run_id = 'dt=2013-01-01'")
    lake = Lake(cloud.client("s3"), find(cloud, "swells").bucket, "swells")
    for place, day in enumerate(DAYS):
        body = json.dumps({"id": day, "at": f"{day}T07:00:00+00:00"})
        put_raw(lake, EVENTS, day, [message(body, place)])
    record_started(workspace_of(lake, TOY), [partition(DAYS[0])], "dt=2013-01-01")
    return airflow


@contextmanager
def waiting_to_announce(airflow: AirflowHome) -> Iterator[subprocess.Popen[bytes]]:
    """Run the transform of the second day until it waits for that of the first."""
    log = airflow.folder / "dags-test.log"
    command = [sys.executable, "-m", "airflow", "dags", "test", "swells_transform", DAYS[1]]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**airflow.environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(
            lambda: process.poll() is not None or "running trigger in line" in _text(log), seconds=180, what="the wait"
        )
        assert process.poll() is None, _text(log)[-4000:]
        assert "waiting for runs that may change what is announced: dt=2013-01-01" in _text(log)
        yield process
    finally:
        process.kill()
        process.wait()


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=lambda sent: sent.name)
def test_signal_ends_the_wait_of_announce(airflow: AirflowHome, sent: signal.Signals) -> None:
    with waiting_to_announce(airflow) as process:
        process.send_signal(sent)

        assert process.wait(timeout=20) != 0
