"""Runs of a pipeline whose last step looks ahead: a day is made, and announced, by the run of the day after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.sluice.lake_contents import put_raw, rows_of
from tests.sluice.toy import message

from sluice.aws.resources import Resources, find
from sluice.declaration.sources import FifoQueue
from sluice.lake.store import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DECLARATION = '''
"""Parcels that are on their way: how many come in the 24 hours after each."""

from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Input, Pipeline, Step

PIPELINE = Pipeline(
    name="coming",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 1, 4, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contracts:Parcel"),
        Step("labels", run="steps:labels", reads=(Input("conform", look_ahead=1),)),
    ),
)
'''
CONTRACT = "from pydantic import BaseModel\n\nclass Parcel(BaseModel):\n    id: str\n    at: str\n"
STEPS = """
import pandas as pd

def labels(conform, conform_after):
    times = pd.concat([conform, conform_after])["event_time"]
    coming = [int(((times > at) & (times <= at + pd.Timedelta(days=1))).sum()) for at in conform["event_time"]]
    return conform[["event_id"]].assign(coming=coming)
"""
EVENTS = FifoQueue("events", event_id="id", event_time="at")
# Each day has one event more than the day before, from noon on.
TIMES = [datetime(2013, 1, day, 12, minute, tzinfo=UTC) for day in range(1, 5) for minute in range(day + 1)]


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    folder, home = (tmp_path_factory.mktemp(name) for name in ("coming", "coming-home"))
    (folder / "pipelines" / "coming").mkdir(parents=True)
    for module, source in {"pipeline": DECLARATION, "contracts": CONTRACT, "steps": STEPS}.items():
        (folder / "pipelines" / "coming" / f"{module}.py").write_text(source)
    (folder / "pipelines" / "__init__.py").symlink_to(ROOT / "include" / "pipelines" / "__init__.py")
    airflow = AirflowHome(home, {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"})
    airflow.command("airflow", "db", "migrate").succeeded()
    airflow.command("sluice", "provision", "coming").succeeded()
    try:
        yield airflow
    finally:
        airflow.close()


def land(lake: Lake, day: int) -> None:
    """Land the events of a day, and close it."""
    events = [(f"e-{n:02d}", at) for n, at in enumerate(TIMES) if at.day == day]
    bodies = [json.dumps({"id": name, "at": at.isoformat()}) for name, at in events]
    put_raw(lake, EVENTS, f"2013-01-{day:02d}", [message(body, n) for n, body in enumerate(bodies)])


def labels(lake: Lake) -> dict[str, list[int]]:
    return {
        each.key: [row["coming"] for row in rows_of(lake, "labels", each.key)] for each in lake.partitions("labels")
    }


def expected(*days: int) -> dict[str, list[int]]:
    after = {at: sum(at < other <= at + timedelta(days=1) for other in TIMES) for at in TIMES}
    return {f"dt=2013-01-{day:02d}": [after[at] for at in TIMES if at.day == day] for day in days}


def announced(cloud: Cloud, resources: Resources) -> list[str]:
    """Return the days of the last step that were announced since the last call, in order."""
    sqs, found = cloud.client("sqs"), list[dict[str, Any]]()
    while messages := sqs.receive_message(QueueUrl=resources.completions_queue, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            found.append(json.loads(each["Body"]))
            sqs.delete_message(QueueUrl=resources.completions_queue, ReceiptHandle=each["ReceiptHandle"])
    return sorted(each["subject"] for each in found if each["stage"] == "labels")


def test_run_of_a_day_makes_and_announces_the_day_before_it_and_the_last_day_its_own(
    airflow: AirflowHome, cloud: Cloud
) -> None:
    """GIVEN days that land one after the other WHEN each has its run THEN no run fails, and nobody does anything."""
    resources = find(cloud, "coming")
    lake = Lake(cloud.client("s3"), resources.bucket, "coming")
    made: list[int] = []
    for day in (1, 2, 3, 4):
        land(lake, day)

        done = airflow.dags_test("coming_transform", f"2013-01-{day:02d}").succeeded()

        waits = f"held back: dt=2013-01-{day:02d} waits for events dt=2013-01-{day + 1:02d}"
        assert (waits in done.output) == (day < 4)
        new = [each for each in (day - 1, 4 if day == 4 else 0) if each]
        made += new
        assert labels(lake) == expected(*made)
        assert announced(cloud, resources) == [*expected(*new)]

    plan = airflow.command("sluice", "plan", "coming").succeeded().output
    assert "8 of 8 partitions of steps are as they should be" in plan
