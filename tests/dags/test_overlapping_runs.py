"""In an Airflow that really schedules, days that look back are announced once, in whichever order their runs end.

A step of the pipeline ``tides`` waits on request, so that the run of one day is still at work when others end. Each
test has days of its own, in months of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.calendars import utc
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.dags.running_airflow import Airflow, running_airflow
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import message

from localcloud.testing.waiting import wait_for
from sluice.aws.resources import Resources, find
from sluice.declaration.sources import FifoQueue
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVENTS = FifoQueue("events", event_id="id", event_time="at")
TRANSFORM = "tides_transform"
# A run that waits for another one to no purpose is announced far later than this.
SOON = 90

DECLARATION = '''
"""Tides: the second step waits on request, the last one looks back."""

from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Input, Pipeline, Step

PIPELINE = Pipeline(
    name="tides",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contracts:Tide"),
        Step("held", run="steps:held", reads=(Input("conform"),)),
        Step("levels", run="steps:levels", reads=(Input("held", look_back=1),)),
    ),
)
'''
CONTRACT = """
from pydantic import BaseModel

class Tide(BaseModel):
    id: str
    at: str
"""
STEPS = """
import time
from pathlib import Path

HOLD = Path("{hold}")

def held(conform):
    file, give_up = HOLD / conform["at"].iloc[0][:10], time.monotonic() + 300
    while file.exists() and time.monotonic() < give_up:
        if file.read_text() == "fail":
            raise ValueError("as requested")
        time.sleep(0.1)
    return conform

def levels(held, held_before):
    return held.assign(before=len(held_before))
"""


class World:
    """The lake of ``tides``, an Airflow that runs its transform, and a subscriber of its completion events."""

    def __init__(self, cloud: Cloud, resources: Resources, lake: Lake, airflow: Airflow, hold: Path) -> None:
        self.lake, self.airflow = lake, airflow
        self._sqs, self._queue, self._hold = cloud.client("sqs"), resources.completions_queue, hold
        self._events: list[dict[str, Any]] = []

    def arrive(self, *days: Partition, count: int = 1) -> None:
        """Close the raw partitions with so many events each."""
        for day in days:
            at = (day.start + timedelta(hours=7)).isoformat()
            bodies = [json.dumps({"id": f"{day.key}-{n}", "at": at}) for n in range(count)]
            put_raw(self.lake, EVENTS, _date(day), [message(body, n) for n, body in enumerate(bodies)])

    def hold(self, *days: Partition) -> None:
        """Let the second step of these days wait from now on."""
        for day in days:
            (self._hold / _date(day)).write_text("wait")

    def fail(self, day: Partition) -> None:
        (self._hold / _date(day)).write_text("fail")

    def release(self, *days: Partition) -> None:
        for day in days:
            (self._hold / _date(day)).unlink()

    def start(self, day: Partition) -> str:
        return self.airflow.trigger(TRANSFORM, logical_date=day.start.isoformat())

    def state(self, run: str, task: str) -> str | None:
        (state,) = {each["state"] for each in self.airflow.tasks(TRANSFORM, run) if each["task_id"] == task}
        return str(state)

    def until(self, run: str, task: str, *states: str) -> None:
        wait_for(lambda: self.state(run, task) in states, seconds=120, what=f"{task} of {run} {' or '.join(states)}")

    def announced(self, *days: Partition) -> list[tuple[str, int, bool]]:
        """Return (partition, revision, late) of all events of the last step so far, of some days."""
        while found := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for each in found:
                self._events.append(json.loads(each["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        keys = {day.key for day in days}
        events = [each for each in self._events if each["stage"] == "levels" and each["subject"] in keys]
        return sorted((each["subject"], each["revision"], each["late"]) for each in events)


def _date(day: Partition) -> str:
    return day.key.removeprefix("dt=")


def days_of(month: int, count: int = 2) -> list[Partition]:
    first = utc(f"dt=2013-{month:02d}-01")
    return [first.shift(n) for n in range(count)]


@pytest.fixture(scope="module")
def world(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, home, hold = (tmp_path_factory.mktemp(name) for name in ("tides", "tides-home", "tides-hold"))
    (folder / "pipelines" / "tides").mkdir(parents=True)
    (folder / "pipelines" / "__init__.py").symlink_to(ROOT / "include" / "pipelines" / "__init__.py")
    sources = {"pipeline": DECLARATION, "contracts": CONTRACT, "steps": STEPS.format(hold=hold)}
    for name, source in sources.items():
        (folder / "pipelines" / "tides" / f"{name}.py").write_text(source)
    environment = {**airflow_environment(cloud, home), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    airflow_home = AirflowHome(home, environment)
    airflow_home.command("sluice", "provision", "tides").succeeded()
    airflow_home.command("airflow", "db", "migrate").succeeded()
    resources = find(cloud, "tides")
    lake = Lake(cloud.client("s3"), resources.bucket, "tides")
    with running_airflow(airflow_home) as airflow:
        wait_for(lambda: TRANSFORM in _dags(airflow), seconds=60, what="the DAG")
        airflow.unpause(TRANSFORM)
        yield World(cloud, resources, lake, airflow, hold)


def _dags(airflow: Airflow) -> set[str]:
    return {dag["dag_id"] for dag in airflow.call("GET", "dags?limit=100")["dags"]}


def test_day_that_ends_before_the_day_it_looks_back_on_is_announced_once(world: World) -> None:
    first, second = days = days_of(1)
    world.arrive(*days)
    world.hold(first)
    slow = world.start(first)
    world.until(slow, "held", "running")

    fast = world.start(second)
    world.until(fast, "announce", "deferred", "success")
    world.release(first)

    assert [world.airflow.ended(TRANSFORM, run)["state"] for run in (slow, fast)] == ["success"] * 2
    assert world.announced(*days) == [(first.key, 1, False), (second.key, 2, False)]


def test_catching_up_announces_each_day_once_and_runs_no_step_in_turn(world: World) -> None:
    first, *_ = days = days_of(8, 6)
    world.arrive(*days)
    world.hold(first)
    runs = [world.start(day) for day in days]

    for run in runs[1:4]:  # four run at once
        world.until(run, "levels", "success")
    assert world.state(runs[0], "held") == "running"
    world.release(first)

    assert [world.airflow.ended(TRANSFORM, run)["state"] for run in runs] == ["success"] * 6
    assert [(key, late) for key, _, late in world.announced(*days)] == [(day.key, False) for day in days]


def test_range_that_is_at_work_counts_as_the_runs_of_its_days(world: World) -> None:
    """A range has no date of its own: the lake says which run is at work on a day."""
    *in_range, after = days = days_of(2, 3)
    world.arrive(*days)
    world.hold(in_range[-1])
    slow = world.airflow.trigger(TRANSFORM, **{"from": _date(in_range[0]), "to": _date(in_range[-1])})
    world.until(slow, "held", "running")

    fast = world.start(after)
    world.until(fast, "announce", "deferred", "success")
    world.release(in_range[-1])

    assert [world.airflow.ended(TRANSFORM, run)["state"] for run in (slow, fast)] == ["success"] * 2
    assert [event[0] for event in world.announced(*days)] == [day.key for day in days]


def test_run_that_fails_holds_up_nobody_and_announces_once_it_is_cleared(world: World) -> None:
    first, second = days = days_of(3)
    world.arrive(*days)
    world.hold(first)
    failing = world.start(first)
    world.until(failing, "held", "running")
    run = world.start(second)
    world.until(run, "announce", "deferred", "success")

    world.fail(first)

    assert world.airflow.ended(TRANSFORM, failing)["state"] == "failed"
    assert world.airflow.ended(TRANSFORM, run, seconds=SOON)["state"] == "success"
    assert world.announced(*days) == [(second.key, 1, False)]

    world.release(first)
    world.airflow.clear(TRANSFORM, failing)

    wait_for(lambda: len(world.announced(*days)) == 3, seconds=SOON, what="the events of the cleared run")
    assert world.announced(*days) == [(first.key, 1, False), (second.key, 1, False), (second.key, 2, True)]


def test_run_that_is_queued_holds_up_nobody(world: World) -> None:
    """GIVEN four runs that fill the slots, so that the cleared run of the day before one of them is queued
    WHEN that one goes on THEN it is announced at once."""
    first, second = days_of(4)
    others = [days_of(month, 1)[0] for month in (5, 6, 7)]
    world.arrive(first, second, *others)
    before = world.start(first)
    assert world.airflow.ended(TRANSFORM, before)["state"] == "success"
    world.hold(second, *others)
    run, *fillers = [world.start(day) for day in (second, *others)]
    for each in (run, *fillers):
        world.until(each, "held", "running")
    world.airflow.clear(TRANSFORM, before)
    assert world.airflow.run(TRANSFORM, before)["state"] == "queued"

    world.release(second)

    assert world.airflow.ended(TRANSFORM, run, seconds=SOON)["state"] == "success"
    assert "waiting for" not in world.airflow.log(TRANSFORM, run, "announce")
    world.release(*others)
    for each in (before, *fillers):
        assert world.airflow.ended(TRANSFORM, each)["state"] == "success"
