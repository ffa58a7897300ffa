"""A kind of source that the library does not know lands, closes, is transformed and shown: one module adds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.sluice.lake_contents import rows_of
from tests.sluice.toy import CONTRACT, reading

from sluice.aws.resources import Resources, find
from sluice.lake.store import Lake

_DECLARATION = '''
"""Readings that arrive as JSON lines in objects under a prefix."""

from datetime import UTC, datetime

from pipelines.meters.meter_files import MeterFiles
from sluice.declaration import Conform, Deployment, Gate, Input, Pipeline, Step, Training, XGBoost

PIPELINE = Pipeline(
    name="meters",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(MeterFiles("readings", event_id="id", event_time="at", prefix="incoming/"),),
    steps=(
        Conform("conform", source="readings", contract="contract:Reading"),
        Step("doubled", run="steps:doubled", reads=(Input("conform"),)),
    ),
    training=Training(
        rows="doubled",
        label="late",
        features=("value",),
        candidates=(XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 5}),),
        gate=Gate("auc", at_least=0.6),
    ),
    deployment=Deployment(endpoint="meters-late"),
)
'''

_STEPS = """
def doubled(conform):
    return conform.assign(value=conform["value"] * 2)
"""

# All that a kind needs: what a user declares, and the connector that the declared class names.
_METER_FILES = '''
"""Objects of JSON lines under a prefix: each line is an event, each object is deleted once it has landed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, ClassVar

from sluice.declaration.sources import EventSource


@dataclass(frozen=True)
class MeterFiles(EventSource):
    """The member ``meter`` of a line is its group; the names of the objects and the lines in them are the order."""

    kind: ClassVar[str] = "meter_file"
    connector: ClassVar[str] = "pipelines.meters.meter_files_connector:MeterFilesConnector"

    prefix: str
'''

_CONNECTOR = '''
"""JSON lines behind the contract of sources."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from sluice.aws.template import Fragment, Statement, lake_arn
from sluice.landing.closing import Evidence
from sluice.landing.parts import Flush, Landed, Parts
from sluice.records.unpacking import Delivery
from sluice.sources.contract import EventConnector


class MeterFilesConnector(EventConnector):
    @classmethod
    def template(cls, pipeline, source):
        objects = lake_arn(pipeline.name, f"/{source.prefix}*")
        return Fragment(statements=(Statement("TakeMeterFiles", ("s3:GetObject", "s3:DeleteObject"), (objects,)),))

    @property
    def awaited(self):
        return f"an object under {self.source.prefix}"

    def backlog(self):
        return len(self._keys())

    def units(self, most):
        return ["all"]

    def drain(self, unit, limits, on_flush, stop):
        landed, partitions, flushes, parts = 0, set(), 0, 0
        with ThreadPoolExecutor(4) as pool:
            landing = Parts(self.landing, pool)
            for key in self._keys():
                if stop.is_set() or landed >= limits.messages:
                    break
                started, records = time.monotonic(), self._records(key)
                touched = landing.land(records)
                self.lake.s3.delete_object(Bucket=self.lake.bucket, Key=key)
                landed, flushes, parts = landed + len(records), flushes + 1, parts + len(touched)
                partitions.update(touched)
                on_flush(Flush(len(records), 0, len(touched), time.monotonic() - started, 0.0))
        return Landed(landed, 0, flushes, parts, tuple(sorted(partitions)))

    def evidence(self, settling):
        return Evidence(landed_until=None if self._keys() else self.lake.now())

    def figures(self):
        return {"objects": len(self._keys())}

    def _keys(self):
        return [key for key, _, _ in self.lake.objects(self.source.prefix)]

    def _records(self, key):
        answer = self.lake.s3.get_object(Bucket=self.lake.bucket, Key=key)
        sent_at = answer["LastModified"]
        return [
            record
            for number, line in enumerate(answer["Body"].read().decode().splitlines())
            for record in self.records(Delivery(line, f"{key}:{number:09d}", "", f"{key}:{number:09d}", sent_at))
        ]

    def place(self, record, body):
        return record._replace(group=body.text("meter") or "")
'''

_MODULES = {
    "pipeline": _DECLARATION,
    "contract": CONTRACT.replace("value: int", "value: int\n    meter: str"),
    "steps": _STEPS,
    "meter_files": _METER_FILES,
    "meter_files_connector": _CONNECTOR,
}
RUN = "2013-01-09"
FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 3
EVENTS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder before ``include`` on the path; its one pipeline is ``meters``."""
    folder = tmp_path_factory.mktemp("meters")
    (folder / "pipelines" / "meters").mkdir(parents=True)
    (folder / "pipelines" / "__init__.py").write_text("")
    for name, source in _MODULES.items():
        (folder / "pipelines" / "meters" / f"{name}.py").write_text(source)
    return folder


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    home = tmp_path_factory.mktemp("airflow")
    environment = {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    airflow = AirflowHome(home, environment)
    try:
        airflow.airflow("db", "migrate").succeeded()
        yield airflow
    finally:
        airflow.close()


@pytest.fixture(scope="module")
def resources(cloud: Cloud, airflow: AirflowHome) -> Resources:
    airflow.command("sluice", "provision", "meters").succeeded()
    return find(cloud, "meters")


def lines(number: int) -> str:
    """Return the line of an event; the events are of three meters in turn, spread evenly over some days."""
    at = FIRST_DAY + timedelta(hours=number * 24 * DAYS // EVENTS)
    return reading(f"r-{number:03d}", at, number, meter=f"m{number % 3}")


def status(airflow: AirflowHome) -> str:
    return airflow.command("sluice", "status", "meters", environment={"COLUMNS": "200"}).succeeded().output


def objects_shown(status: str) -> str:
    """Return the figure of the source in the table of its kind."""
    return next(line.split()[-2] for line in status.splitlines() if line.startswith("│ readings"))


@pytest.mark.slow
def test_new_source_kind_is_landed_closed_transformed_and_shown(
    cloud: Cloud, airflow: AirflowHome, resources: Resources
) -> None:
    lake = Lake(cloud.client("s3"), resources.bucket, "meters")
    for first in range(0, EVENTS, 40):
        body = "\n".join(lines(number) for number in range(first, first + 40))
        lake.put(f"incoming/{first:06d}.jsonl", body.encode())
    lake.put("incoming/poison.jsonl", b'{"id": "bad", "at": "2013-01-02T23:59:00+00:00", "meter": "m1", "value": "?"}')

    before = status(airflow)
    airflow.dags_test("meters_ingest_meter_file", RUN, wait_seconds=0).succeeded()
    airflow.dags_test("meters_transform", RUN, **{"from": "2013-01-01", "to": "2013-01-03"}).succeeded()
    after = status(airflow)

    for day in range(DAYS):
        rows = rows_of(lake, "doubled", f"dt=2013-01-0{day + 1}")
        numbers = [n for n in range(EVENTS) if n * DAYS // EVENTS == day]
        in_order = sorted(numbers, key=lambda n: (f"m{n % 3}", n))
        assert [(row["group"], row["event_id"], row["value"]) for row in rows] == [
            (f"m{n % 3}", f"r-{n:03d}", 2 * n) for n in in_order
        ]
    (rejected,) = rows_of(lake, "conform", "dt=2013-01-02", files="quarantined")
    assert json.loads(rejected["body"])["id"] == "bad"
    assert list(lake.objects("incoming/")) == []
    assert "meters: meter_files" in before
    assert [objects_shown(text) for text in (before, after)] == ["4", "0"]
    assert "dt=2013-01-01..dt=2013-01-03" in after


def test_library_and_dags_do_not_name_the_kind() -> None:
    """The declaration and the connector above are the whole kind."""
    for root in ("include/sluice", "plugins", "dags"):
        for file in (ROOT / root).rglob("*.py"):
            text = file.read_text().lower()
            assert not any(word in text for word in ("meterfiles(", "meter_file", "pipelines.meters")), file
