"""Which transform runs exist, and when they start, in an Airflow that really schedules.

The pipeline ``parcels`` starts ten days before its first event. Twelve days follow whose drop is missing, then four
that are complete, and one that is still open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.calendars import utc
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.dags.running_airflow import Airflow, running_airflow
from tests.sluice.lake_contents import manifest_json, put_raw
from tests.sluice.toy import message

from localcloud.testing.waiting import wait_for
from sluice.aws.resources import find
from sluice.declaration.sources import FifoQueue
from sluice.lake.partitions import Partition, between
from sluice.lake.store import Lake
from sluice.landing.closing import Observed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVENTS = FifoQueue("events", event_id="id", event_time="event_time")
FIRST_EVENT = utc("dt=2013-01-11")
INCOMPLETE = list(between(FIRST_EVENT, FIRST_EVENT.shift(11)))
COMPLETE = list(between(FIRST_EVENT.shift(12), FIRST_EVENT.shift(15)))
OPEN = COMPLETE[-1].shift(1)
TRANSFORM, DISPATCH = "parcels_transform", "parcels_dispatch"

DECLARATION = '''
"""Parcels: a queue and a drop."""

from datetime import UTC, datetime

from sluice.declaration import Conform, Deployment, Drops, FifoQueue, Gate, Input, Pipeline, Step, Training, XGBoost

PIPELINE = Pipeline(
    name="parcels",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 12, 31, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="event_time"), Drops("tariffs", prefix="drops/tariffs/")),
    steps=(
        Conform("conform", source="events", contract="contracts:Parcel"),
        Step("features", run="steps:features", reads=(Input("conform", look_back=1), Input("tariffs"))),
    ),
    training=Training(
        rows="features",
        label="late",
        features=("weight",),
        candidates=(XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 5, "nthread": 1}),),
        gate=Gate("auc", at_least=0.6),
    ),
    deployment=Deployment(endpoint="parcels-late"),
)
'''
CONTRACT = """
from pydantic import BaseModel

class Parcel(BaseModel):
    id: str
    event_time: str
    weight: int
"""
STEPS = """
def features(conform, conform_before, tariffs):
    return conform.assign(before=len(conform_before), late=0)
"""


class World:
    """The lake of ``parcels`` and an Airflow that runs its transform."""

    def __init__(self, cloud: Cloud, lake: Lake, airflow: Airflow) -> None:
        self.cloud, self.lake, self.airflow = cloud, lake, airflow

    def events(self, partition: Partition, count: int, state: str = "closed") -> None:
        """Put so many events into the raw partition; if it is closed already, they are late."""
        day = partition.key.removeprefix("dt=")
        at = (partition.start + timedelta(hours=7)).isoformat()
        bodies = [json.dumps({"id": f"{day}-{n}", "event_time": at, "weight": n}) for n in range(count)]
        put_raw(self.lake, EVENTS, day, [message(body, n) for n, body in enumerate(bodies)], state=state)

    def drop(self, partition: Partition) -> None:
        self.lake.put(f"drops/tariffs/{partition.key}/tariff.csv", b"zone\n1\n")
        self.lake.put(f"drops/tariffs/{partition.key}/_SUCCESS", b"")

    def rows(self, partition: Partition) -> int:
        rows: int = manifest_json(self.lake, "features", partition.key)["rows_out"]
        return rows

    def seconds_queued(self, run: dict[str, Any]) -> float:
        queued, started = (datetime.fromisoformat(run[name]) for name in ("queued_at", "start_date"))
        return (started - queued).total_seconds()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package ``pipelines``, with ``parcels`` in it and no ``__init__.py`` of its own."""
    pipelines = tmp_path_factory.mktemp("scheduled") / "pipelines"
    (pipelines / "parcels").mkdir(parents=True)
    (pipelines / "__init__.py").symlink_to(ROOT / "include" / "pipelines" / "__init__.py")
    for name, source in {"pipeline": DECLARATION, "contracts": CONTRACT, "steps": STEPS}.items():
        (pipelines / "parcels" / f"{name}.py").write_text(source)
    (pipelines / "typo").mkdir()
    (pipelines / "typo" / "pipeline.py").write_text("PIPELINE = (\n")
    return pipelines.parent


@pytest.fixture(scope="module")
def world(cloud: Cloud, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("airflow-scheduled")
    environment = airflow_environment(cloud, home)
    environment["PYTHONPATH"] = f"{folder}:{environment['PYTHONPATH']}"
    airflow_home = AirflowHome(home, environment)
    airflow_home.command("sluice", "provision", "parcels").succeeded()
    lake = Lake(cloud.client("s3"), find(cloud, "parcels").bucket, "parcels")
    airflow_home.command("airflow", "db", "migrate").succeeded()
    with running_airflow(airflow_home) as airflow:
        world = World(cloud, lake, airflow)
        for partition in (*INCOMPLETE, *COMPLETE):
            world.events(partition, 2)
        for partition in COMPLETE:
            world.drop(partition)
        world.events(OPEN, 2, "open")
        # Whoever closed them knew that no older event waits.
        observed = Observed(since=FIRST_EVENT.start)
        lake.put(lake.layout.observed(EVENTS.name), observed.model_dump_json().encode())
        wait_for(lambda: {TRANSFORM, DISPATCH} <= _dags(airflow), seconds=60, what="the DAGs")
        airflow.unpause(TRANSFORM, DISPATCH)
        yield world


def _dags(airflow: Airflow) -> set[str]:
    return {dag["dag_id"] for dag in airflow.call("GET", "dags?limit=100")["dags"]}


@pytest.fixture(scope="module")
def dispatched(world: World) -> World:
    """The world after the dispatch has transformed every complete partition."""
    for partition in COMPLETE:
        wait_for(lambda key=partition.key: key in world.airflow.runs(TRANSFORM), seconds=120, what=partition.key)
        assert world.airflow.ended(TRANSFORM, partition.key)["state"] == "success"
    return world


def test_complete_partitions_are_not_behind_those_that_lack_a_drop(dispatched: World) -> None:
    """Twelve days wait for a drop, and the runs of the next four have started first."""
    runs = {name: run["start_date"] or "later" for name, run in dispatched.airflow.runs(TRANSFORM).items()}

    complete = {partition.key: runs.pop(partition.key) for partition in COMPLETE}
    assert set(runs) <= {partition.key for partition in INCOMPLETE}
    assert max(complete.values()) < min(runs.values(), default="later")
    assert [dispatched.rows(partition) for partition in COMPLETE] == [2] * 4


def test_missing_drop_holds_back_only_the_steps_that_read_it(dispatched: World) -> None:
    for partition in INCOMPLETE:
        wait_for(lambda key=partition.key: key in dispatched.airflow.runs(TRANSFORM), seconds=120, what=partition.key)
        run = dispatched.airflow.ended(TRANSFORM, partition.key)
        assert (run["state"], _failures(dispatched, partition.key)) == ("success", {})

    assert dispatched.lake.partitions("conform") == [*INCOMPLETE, *COMPLETE]
    assert dispatched.lake.partitions("features") == COMPLETE
    states = {task["task_id"]: task["state"] for task in dispatched.airflow.tasks(TRANSFORM, INCOMPLETE[0].key)}
    assert states.pop("announce") == "skipped"
    assert set(states.values()) == {"success"}
    key, log = INCOMPLETE[0].key, dispatched.airflow.log(TRANSFORM, INCOMPLETE[0].key, "announce")
    assert f"held back: {key} waits for tariffs {key}" in log


def test_runs_have_the_dates_of_their_partitions(dispatched: World) -> None:
    dates = {name: run["logical_date"] for name, run in dispatched.airflow.runs(TRANSFORM).items()}

    assert dates == {
        partition.key: partition.start.isoformat().replace("+00:00", "Z") for partition in (*INCOMPLETE, *COMPLETE)
    }


def test_broken_pipeline_is_shown_and_stops_no_other(dispatched: World) -> None:
    """The UI shows the import errors of this answer; the other tests run beside the broken pipeline."""
    (error,) = dispatched.airflow.call("GET", "importErrors")["import_errors"]

    assert error["filename"] == "broken_pipelines.py"
    reason = "pipeline typo can't be loaded: pipelines/typo/pipeline.py line 1: SyntaxError: '(' was never closed"
    assert reason in error["stack_trace"]
    assert {dag for dag in _dags(dispatched.airflow) if dag.startswith("typo")} == set()


def test_log_names_once_what_a_run_waits_for(dispatched: World) -> None:
    text = f"parcels/events {OPEN.key}: still open, because events of that time may still arrive"

    def waiting() -> str | None:
        for name, run in dispatched.airflow.runs(DISPATCH).items():
            if run["state"] == "running" and _state(dispatched, name, "wait", DISPATCH) == "deferred":
                log = dispatched.airflow.log(DISPATCH, name, "wait")
                if text in log:
                    return log
        return None

    assert wait_for(waiting, seconds=90, what="a log that names what a run waits for").count(text) == 1


def test_manual_range_starts_at_once_and_needs_no_logical_date(dispatched: World) -> None:
    first, last = (partition.key.removeprefix("dt=") for partition in (COMPLETE[0], COMPLETE[1]))

    name = dispatched.airflow.trigger(TRANSFORM, **{"from": first, "to": last})

    run = dispatched.airflow.ended(TRANSFORM, name)
    assert run["state"] == "success"
    assert dispatched.seconds_queued(run) < 60


def test_range_with_the_date_that_the_form_suggests_succeeds(dispatched: World) -> None:
    first = COMPLETE[2].key.removeprefix("dt=")

    name = dispatched.airflow.trigger(TRANSFORM, logical_date=datetime.now(UTC).isoformat(), **{"from": first})

    assert dispatched.airflow.ended(TRANSFORM, name)["state"] == "success"
    states = {(task["task_id"], task["state"]) for task in dispatched.airflow.tasks(TRANSFORM, name)}
    assert states == {(task, "success") for task in ("wait", "land_drops", "conform", "features", "announce")}


def test_cleared_partition_starts_at_once(dispatched: World) -> None:
    name = COMPLETE[0].key

    dispatched.airflow.clear(TRANSFORM, name)

    wait_for(lambda: dispatched.airflow.run(TRANSFORM, name)["state"] != "success", what="the clearing")
    run = dispatched.airflow.ended(TRANSFORM, name)
    assert (run["state"], dispatched.seconds_queued(run) < 60) == ("success", True)


def test_run_without_a_date_and_without_a_range_names_the_reason(dispatched: World) -> None:
    name = dispatched.airflow.trigger(TRANSFORM)

    assert dispatched.airflow.ended(TRANSFORM, name, seconds=60)["state"] == "failed"
    log = dispatched.airflow.log(TRANSFORM, name, "wait")
    assert "the run has no logical date and names no range, so it has no partition; trigger it again" in log


@pytest.mark.parametrize(
    ("dag", "state"), [("parcels_train", "failed"), ("parcels_redrive", "success"), ("parcels_replay", "failed")]
)
def test_no_dag_needs_a_logical_date(dispatched: World, dag: str, state: str) -> None:
    """A run that fails names what is missing: days to train on, a range to replay."""
    dispatched.airflow.unpause(dag)

    name = dispatched.airflow.trigger(dag)

    assert dispatched.airflow.ended(dag, name)["state"] == state
    failed = [task["task_id"] for task in dispatched.airflow.tasks(dag, name) if task["state"] == "failed"]
    assert failed == {"parcels_train": ["snapshot"], "parcels_replay": ["units"]}.get(dag, [])
    for task in failed:
        log = dispatched.airflow.log(dag, name, task)
        assert "KeyError" not in log
        assert {"snapshot": "train", "units": "from"}[task] in log


def test_range_by_hand_fails_after_all_that_can_be_done_and_names_what_is_missing(dispatched: World) -> None:
    first, last = (partition.key.removeprefix("dt=") for partition in (INCOMPLETE[-1], COMPLETE[0]))

    name = dispatched.airflow.trigger(TRANSFORM, **{"from": first, "to": last})

    assert dispatched.airflow.ended(TRANSFORM, name, seconds=60)["state"] == "failed"
    states = {task["task_id"]: task["state"] for task in dispatched.airflow.tasks(TRANSFORM, name)}
    assert [task for task, state in states.items() if state != "success"] == ["announce"]
    log = dispatched.airflow.log(TRANSFORM, name, "announce")
    assert f"held back: {INCOMPLETE[-1].key} waits for tariffs {INCOMPLETE[-1].key}" in log


def test_run_of_a_partition_for_which_no_step_can_run_fails_at_once(dispatched: World) -> None:
    name = dispatched.airflow.trigger(TRANSFORM, **{"from": OPEN.key.removeprefix("dt=")})

    assert dispatched.airflow.ended(TRANSFORM, name, seconds=60)["state"] == "failed"
    assert f"not complete: parcels/events {OPEN.key}: still open" in dispatched.airflow.log(TRANSFORM, name, "wait")


def test_days_before_the_first_event_are_empty_and_a_range_over_them_succeeds(dispatched: World) -> None:
    before = FIRST_EVENT.shift(-1)
    dispatched.drop(before)

    name = dispatched.airflow.trigger(TRANSFORM, **{"from": before.key.removeprefix("dt=")})

    assert dispatched.airflow.ended(TRANSFORM, name)["state"] == "success"
    assert dispatched.rows(before) == 0


def test_drop_that_arrives_clears_the_run_of_its_day(dispatched: World) -> None:
    """What was held back goes on by itself, and no other run is made."""
    day, before = INCOMPLETE[5], set(dispatched.airflow.runs(TRANSFORM))

    dispatched.drop(day)

    wait_for(lambda: dispatched.lake.manifest("features", day), seconds=120, what="the transform of the day")
    assert dispatched.rows(day) == 2
    wait_for(lambda: _announced(dispatched, day), what="the announcement")
    assert set(dispatched.airflow.runs(TRANSFORM)) == before


def test_late_data_clears_the_runs_of_its_day_and_of_days_that_look_back(dispatched: World) -> None:
    day, next_day = COMPLETE[0], COMPLETE[1]
    before = manifest_json(dispatched.lake, "features", next_day.key)["revision"]

    dispatched.events(day, 3)

    wait_for(lambda: dispatched.rows(day) == 3, seconds=120, what="the late row")
    wait_for(
        lambda: manifest_json(dispatched.lake, "features", next_day.key)["revision"] == before + 1,
        what="the revision of the next day",
    )
    assert dispatched.airflow.ended(TRANSFORM, day.key)["state"] == "success"
    assert len([name for name in dispatched.airflow.runs(TRANSFORM) if name.startswith(day.key)]) == 1


def test_backfill_ahead_leaves_the_days_in_between_their_runs(dispatched: World) -> None:
    """Airflow counts a schedule from its last run, also from one that a backfill has made."""
    ahead, in_between = COMPLETE[-1].shift(9), COMPLETE[-1].shift(4)
    dispatched.events(ahead, 2)
    dispatched.drop(ahead)
    date = ahead.start.isoformat()
    dispatched.airflow.call("POST", "backfills", {"dag_id": TRANSFORM, "from_date": date, "to_date": date})
    wait_for(lambda: dispatched.lake.manifest("features", ahead), seconds=120, what="the transform ahead")

    dispatched.events(in_between, 2)
    dispatched.drop(in_between)

    wait_for(lambda: _succeeded(dispatched, in_between), seconds=120, what="the transform in between")
    assert dispatched.rows(in_between) == 2


@pytest.mark.parametrize(("task", "state"), [("wait", "skipped"), ("wait", "success"), ("features", "skipped")])
def test_run_whose_task_was_marked_by_hand_fails_if_nothing_was_done(dispatched: World, task: str, state: str) -> None:
    """GIVEN a run that waits WHEN a task of it is marked by hand THEN it fails and names what is not done."""
    day = INCOMPLETE[7].key.removeprefix("dt=")
    name = dispatched.airflow.trigger(TRANSFORM, **{"from": day, "wait_seconds": 600})
    wait_for(lambda: _state(dispatched, name, "wait") == "deferred", what="a run that waits")

    dispatched.airflow.mark(TRANSFORM, name, task, state)
    if task != "wait":
        dispatched.airflow.mark(TRANSFORM, name, "wait", "success")

    assert dispatched.airflow.ended(TRANSFORM, name)["state"] == "failed"
    log = dispatched.airflow.log(TRANSFORM, name, "announce")
    assert f"this run has not transformed dt={day}: a task before this one failed, was skipped or was marked" in log


def test_run_that_is_marked_failed_stops_waiting(dispatched: World) -> None:
    day = INCOMPLETE[8].key.removeprefix("dt=")
    name = dispatched.airflow.trigger(TRANSFORM, **{"from": day, "wait_seconds": 600})
    wait_for(lambda: _state(dispatched, name, "wait") == "deferred", what="a run that waits")

    dispatched.airflow.mark(TRANSFORM, name, "wait", "failed")

    assert dispatched.airflow.ended(TRANSFORM, name, seconds=60)["state"] == "failed"


def test_dispatch_needs_no_record_of_a_run(dispatched: World) -> None:
    """GIVEN all runs that have ended are removed from Airflow THEN only a partition that changes gets a run again."""
    airflow, day = dispatched.airflow, COMPLETE[2]
    keys = {partition.key for partition in (*INCOMPLETE, *COMPLETE)}
    wait_for(lambda: keys <= set(airflow.runs(TRANSFORM)), seconds=240, what="a run of each partition")
    airflow.pause(DISPATCH)
    for name in _unfinished(airflow.runs(DISPATCH)):
        airflow.end(DISPATCH, name)
    wait_for(lambda: not _unfinished(airflow.runs(TRANSFORM)), seconds=180, what="the end of the transforms")
    before = sorted(dispatched.lake.partitions("features"))
    now = datetime.now(UTC).isoformat()
    clean = ("db", "clean", "--clean-before-timestamp", now, "--tables", "dag_run", "--skip-archive", "--yes")
    airflow.home.command("airflow", *clean, "--error-on-cleanup-failure").succeeded()
    assert day.key not in airflow.runs(TRANSFORM)
    left = set(airflow.runs(TRANSFORM))

    dispatched.events(day, 5)
    airflow.unpause(DISPATCH)

    wait_for(lambda: dispatched.rows(day) == 5, seconds=120, what="the late rows")
    assert airflow.ended(TRANSFORM, day.key)["state"] == "success"
    assert sorted(dispatched.lake.partitions("features")) == before
    assert set(airflow.runs(TRANSFORM)) - left <= {day.key, day.shift(1).key}  # which looks back on it


def _unfinished(runs: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, run in runs.items() if run["state"] in ("queued", "running")]


def test_ingest_whose_queue_is_gone_is_paused_after_three_runs(dispatched: World) -> None:
    """The tests' Airflow waits a second between two tries, where production waits for minutes."""
    dag, airflow = "parcels_ingest_queue", dispatched.airflow
    queue = find(dispatched.cloud, "parcels").made_for("queues", "events")
    dispatched.cloud.client("sqs").delete_queue(QueueUrl=queue)
    airflow.unpause(dag)

    wait_for(lambda: airflow.call("GET", f"dags/{dag}")["is_paused"], seconds=400, what="the pause")

    runs = airflow.runs(dag)
    assert [run["state"] for run in runs.values()] == ["failed"] * 3
    for name in runs:
        (wait,) = [task for task in airflow.tasks(dag, name) if task["task_id"] == "wait"]
        assert wait["try_number"] == 8
        assert f"queue {queue} is gone" in airflow.log(dag, name, "wait", 8)
    due = sorted(datetime.fromisoformat(run["run_after"]) for run in runs.values())
    assert min(later - earlier for earlier, later in pairwise(due)) >= timedelta(minutes=1)


def _state(world: World, run: str, task: str, dag: str = TRANSFORM) -> str | None:
    states = [each["state"] for each in world.airflow.tasks(dag, run) if each["task_id"] == task]
    return states[0] if states else None


def _succeeded(world: World, day: Partition) -> bool:
    run = world.airflow.runs(TRANSFORM).get(day.key)
    return run is not None and run["state"] == "success"


def _announced(world: World, day: Partition) -> bool:
    states = {task["task_id"]: task["state"] for task in world.airflow.tasks(TRANSFORM, day.key)}
    return states["announce"] == "success"


def _failures(world: World, run: str) -> dict[str, str]:
    """Return the log of each task of a run that has failed."""
    failed = [task["task_id"] for task in world.airflow.tasks(TRANSFORM, run) if task["state"] == "failed"]
    return {task: world.airflow.log(TRANSFORM, run, task) for task in failed}
