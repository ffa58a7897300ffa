"""Runs of a pipeline that carries a state: any order of runs, and a range in several chunks, end in the same lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.sluice.lake_contents import manifest_json, put_raw, rows_of
from tests.sluice.toy import message

from sluice.aws.resources import find
from sluice.declaration.sources import FifoQueue
from sluice.lake.store import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DECLARATION = '''
"""Flights: how many each aircraft has had."""

from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Input, Pipeline, Step

PIPELINE = Pipeline(
    name="NAME",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 1, 5, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contracts:Flight"),
        Step("totals", run="steps:totals", reads=(Input("conform"),), state_by="tail_number"),
        Step("after", run="steps:after", reads=(Input("totals", look_back=1),)),
    ),
)
'''
CONTRACT = """
from pydantic import BaseModel

class Flight(BaseModel):
    id: str
    at: str
    tail_number: str
"""
STEPS = """
import pandas as pd

def totals(conform, state):
    new = conform.groupby("tail_number").size()
    before = pd.Series(dtype="int64") if state.empty else state.set_index("tail_number")["flights"].astype("int64")
    total = before.add(new, fill_value=0).astype("int64")
    earlier = conform["tail_number"].map(before).fillna(0).astype("int64")
    rows = conform[["event_id", "tail_number"]].assign(number=earlier + conform.groupby("tail_number").cumcount() + 1)
    return rows, total.rename_axis("tail_number").reset_index(name="flights")

def after(totals, totals_before):
    return totals.assign(before=len(totals_before))
"""
EVENTS = FifoQueue("events", event_id="id", event_time="at")
DAYS = range(1, 6)
# One aircraft flies each day, one on the first and on the last day, and one is new each day.
FLIGHTS = [
    (f"f-{day}-{place}", datetime(2013, 1, day, 6 + place, tzinfo=UTC), tail)
    for day in DAYS
    for place, tail in enumerate(["daily", "daily", *(["rare"] if day in (1, 5) else []), f"new-{day}"])
]


@pytest.fixture(scope="module")
def airflow(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    folder, home = (tmp_path_factory.mktemp(name) for name in ("state", "state-home"))
    for name in ("ordered", "mixed"):
        (folder / "pipelines" / name).mkdir(parents=True)
        declaration = DECLARATION.replace("NAME", name)
        for module, source in {"pipeline": declaration, "contracts": CONTRACT, "steps": STEPS}.items():
            (folder / "pipelines" / name / f"{module}.py").write_text(source)
    (folder / "pipelines" / "__init__.py").symlink_to(ROOT / "include" / "pipelines" / "__init__.py")
    # Each day is a chunk of its own, however little it holds.
    small = "from sluice.steps.chunks import chunks_by_size\nchunks_by_size.__defaults__ = (1,)\n"
    (folder / "sitecustomize.py").write_text(small)
    airflow = AirflowHome(home, {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"})
    airflow.command("airflow", "db", "migrate").succeeded()
    for name in ("ordered", "mixed"):
        airflow.command("sluice", "provision", name).succeeded()
    try:
        yield airflow
    finally:
        airflow.close()


def lake_of(cloud: Cloud, name: str) -> Lake:
    return Lake(cloud.client("s3"), find(cloud, name).bucket, name)


def land(lake: Lake, *days: int) -> None:
    for day in days:
        flights = [each for each in FLIGHTS if each[1].day == day]
        bodies = [json.dumps({"id": name, "at": at.isoformat(), "tail_number": tail}) for name, at, tail in flights]
        put_raw(lake, EVENTS, f"2013-01-{day:02d}", [message(body, n) for n, body in enumerate(bodies)])


def numbers(lake: Lake) -> dict[str, int]:
    """Return which flight of its aircraft each one was."""
    rows = [row for day in lake.partitions("totals") for row in rows_of(lake, "totals", day.key)]
    return {row["event_id"]: row["number"] for row in rows}


def expected() -> dict[str, int]:
    found, flown = {}, dict[str, int]()
    for name, _, tail in sorted(FLIGHTS, key=lambda flight: flight[1]):
        found[name] = flown[tail] = flown.get(tail, 0) + 1
    return found


def objects(lake: Lake) -> dict[str, Any]:
    """Return the objects of each day of each step, without the name of the pipeline."""
    found = {}
    for step in ("conform", "totals", "after"):
        for day in lake.partitions(step):
            manifest = manifest_json(lake, step, day.key)
            files = [*manifest["files"], *filter(None, [manifest.get("carried")])]
            found[f"{step}/{day.key}"] = [file["key"].partition("/")[2] for file in files]
    return found


def test_runs_in_any_order_give_the_lake_of_one_range(airflow: AirflowHome, cloud: Cloud) -> None:
    ordered, mixed = (lake_of(cloud, name) for name in ("ordered", "mixed"))
    land(ordered, *DAYS)
    land(mixed, *DAYS)

    done = airflow.dags_test(
        "ordered_transform", "2013-01-01", **{"from": "2013-01-01", "to": "2013-01-05"}
    ).succeeded()
    assert "map_index=4" in done.output  # of conform, whose chunks are a day each
    assert numbers(ordered) == expected()

    # The run of a day that waits fails, as nobody makes by itself what it waits for.
    waits = airflow.dags_test("mixed_transform", "2013-01-03")
    assert "held back: dt=2013-01-03 waits for totals dt=2013-01-02" in waits.output
    assert waits.status != 0
    for day in (5, 2):
        airflow.dags_test("mixed_transform", f"2013-01-{day:02d}")
    assert (mixed.partitions("totals"), mixed.partitions("after")) == ([], [])
    airflow.dags_test("mixed_transform", "2013-01-01").succeeded()
    assert [day.key for day in mixed.partitions("after")] == ["dt=2013-01-01", "dt=2013-01-02", "dt=2013-01-03"]
    airflow.dags_test("mixed_transform", "2013-01-04").succeeded()

    assert numbers(mixed) == expected()
    assert objects(mixed) == objects(ordered)
    plan = airflow.command("sluice", "plan", "mixed").succeeded().output
    assert "15 of 15 partitions of steps are as they should be" in plan
