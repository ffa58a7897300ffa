"""Runs of pipelines whose partitions are months, or days of a zone: a run's date means the partition that has it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.draining import send
from tests.sluice.lake_contents import rows_of

from sluice.aws.resources import find
from sluice.lake.partitions import Calendar
from sluice.lake.store import Lake
from sluice.sending.lanes import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DECLARATION = '''
"""Readings of a meter. The last step looks back."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sluice.declaration import Conform, FifoQueue, Input, Pipeline, Step

PIPELINE = Pipeline(
    name="{name}",
    every="{every}",
    zone="America/New_York",
    start=datetime({start}, tzinfo=ZoneInfo("America/New_York")),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contracts:Reading"),
        Step("totals", run="steps:totals", reads=(Input("conform", look_back=1),)),
    ),
)
'''
CONTRACT = "from pydantic import BaseModel\n\nclass Reading(BaseModel):\n    id: str\n    at: str\n"
STEPS = "def totals(conform, conform_before):\n    return conform.assign(before=len(conform_before))\n"
STARTS = {"monthly": "2013, 1, 1", "weekly": "2013, 1, 7", "local": "2013, 1, 1"}
CALENDARS = {
    name: Calendar(every, "America/New_York")
    for name, every in (("monthly", "month"), ("weekly", "week"), ("local", "day"))
}
TIMES = [
    "2013-02-28T23:59:59-05:00",
    "2013-03-09T23:59:59-05:00",
    "2013-03-10T00:00:00-05:00",
    "2013-03-10T23:59:59-04:00",
    "2013-03-11T00:00:00-04:00",
]


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    """An Airflow in which the events of both pipelines have landed."""
    folder, home = (tmp_path_factory.mktemp(name) for name in ("calendars", "calendars-home"))
    _declare(folder)
    environment = {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    airflow = AirflowHome(home, environment)
    airflow.command("airflow", "db", "migrate").succeeded()
    airflow.command("airflow", "dags", "reserialize").succeeded()
    try:
        for name in CALENDARS:
            airflow.command("sluice", "provision", name).succeeded()
            events = [
                Event(f"{name}-{n}", "g", datetime.fromisoformat(time), f'{{"id": "{name}-{n}", "at": "{time}"}}')
                for n, time in enumerate(TIMES)
            ]
            send(cloud.client("sqs"), find(cloud, name).of_sources["queues/events"], events)
            airflow.dags_test(f"{name}_ingest_queue", "2013-03-11", wait_seconds=2, settling_seconds=0).succeeded()
        yield airflow
    finally:
        airflow.close()


def _declare(folder: Path) -> None:
    for name, calendar in CALENDARS.items():
        (folder / "pipelines" / name).mkdir(parents=True)
        declaration = DECLARATION.format(name=name, every=calendar.every, start=STARTS[name])
        for module, source in {"pipeline": declaration, "contracts": CONTRACT, "steps": STEPS}.items():
            (folder / "pipelines" / name / f"{module}.py").write_text(source)
    (folder / "pipelines" / "__init__.py").symlink_to(ROOT / "include" / "pipelines" / "__init__.py")


def lake_of(cloud: Cloud, name: str) -> Lake:
    return Lake(cloud.client("s3"), find(cloud, name).bucket, name, calendar=CALENDARS[name])


def made(lake: Lake) -> dict[str, list[tuple[str, int]]]:
    """Return the ids of each partition of the last step, each with the rows of the partition before."""
    partitions = [each.key for each in lake.partitions("totals")]
    return {
        key: sorted((row["event_id"].rpartition("-")[2], row["before"]) for row in rows_of(lake, "totals", key))
        for key in partitions
    }


def test_run_of_a_date_transforms_the_month_that_has_it(airflow: AirflowHome, cloud: Cloud) -> None:
    airflow.dags_test("monthly_transform", "2013-02-15").succeeded()
    assert made(lake_of(cloud, "monthly")) == {"month=2013-02": [("0", 0)]}

    airflow.dags_test("monthly_transform", "2013-03-15").succeeded()
    march = [(str(n), 1) for n in (1, 2, 3, 4)]
    assert made(lake_of(cloud, "monthly")) == {"month=2013-02": [("0", 0)], "month=2013-03": march}


def test_run_of_a_date_transforms_that_day_of_the_zone(airflow: AirflowHome, cloud: Cloud) -> None:
    for day in ("2013-03-09", "2013-03-10"):
        airflow.dags_test("local_transform", day).succeeded()
    airflow.dags_test("local_transform", "2020-01-01", **{"from": "2013-03-11"}).succeeded()

    assert made(lake_of(cloud, "local")) == {
        "dt=2013-03-09": [("1", 0)],
        "dt=2013-03-10": [("2", 1), ("3", 1)],
        "dt=2013-03-11": [("4", 2)],
    }


@pytest.mark.parametrize(
    ("dag", "first", "last", "dates"),
    [
        ("monthly_transform", "2013-01-15", "2013-03-15", ["2013-01-01 05", "2013-02-01 05", "2013-03-01 05"]),
        ("monthly_transform", "2013-01-15", "2013-01-15", ["2013-01-01 05"]),
        ("local_transform", "2013-03-10", "2013-03-11", ["2013-03-10 05", "2013-03-11 04"]),
    ],
)
def test_backfill_of_dates_has_one_run_for_each_partition(
    airflow: AirflowHome, dag: str, first: str, last: str, dates: list[str]
) -> None:
    dates_of = ("--from-date", first, "--to-date", last)
    done = airflow.command("airflow", "backfill", "create", "--dag-id", dag, *dates_of, "--dry-run").succeeded()

    assert re.findall(r"\| (20\S+ \d\d):00:00\+00:00 \|", done.output) == dates


def test_dispatch_starts_a_run_for_each_week_with_its_name_and_moment(airflow: AirflowHome) -> None:
    airflow.dags_test("weekly_dispatch", "2013-03-11", wait_seconds=1).succeeded()

    with closing(sqlite3.connect(airflow.folder / "airflow.db")) as database:
        query = "SELECT run_id, logical_date, data_interval_end FROM dag_run WHERE dag_id = 'weekly_transform'"
        found = {run: tuple(moment[:16] for moment in moments) for run, *moments in database.execute(query)}
    assert found == {
        "week=2013-02-25": ("2013-02-25 05:00", "2013-03-04 05:00"),
        "week=2013-03-04": ("2013-03-04 05:00", "2013-03-11 04:00"),  # 167 hours
        "week=2013-03-11": ("2013-03-11 04:00", "2013-03-18 04:00"),
    }
