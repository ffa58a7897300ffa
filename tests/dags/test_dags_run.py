"""The whole main job on real flights, by ``airflow dags test`` against the embedded cloud.

The tests read what one sequence of runs left behind, stage after stage: landed, transformed, trained, run again,
malformed events, late data.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome, Finished
from tests.dags.lake_content import LakeContent
from tests.draining import ALL_LANDED, send

from pipelines.flights import data
from pipelines.flights.events import events_of_days
from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.weather import drop_weather
from sluice.aws.resources import Resources
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.sending.lanes import Event

DAYS = [date(2013, 1, day) for day in (1, 2, 3, 4)]
PARTITIONS = [f"dt={day}" for day in DAYS]
LATE_DAY = "dt=2013-01-02"
RANGE = {"from": "2013-01-01", "to": "2013-01-04"}
XCOM_BYTES = 4096

Sent = Mapping[str, Sequence[Event]]


@dataclass(frozen=True)
class State:
    """Everything that may change when a DAG runs again."""

    objects: Mapping[str, str]
    jobs: Mapping[str, str]
    endpoint: Mapping[str, Any]
    announced: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class World:
    """The cloud, its subscriber and Airflow."""

    cloud: Cloud
    resources: Resources
    airflow: AirflowHome
    lake: LakeContent

    def state(self) -> State:
        sagemaker = self.cloud.client("sagemaker")
        jobs = sagemaker.list_training_jobs(NameContains="flights-", MaxResults=100)["TrainingJobSummaries"]
        endpoint = sagemaker.describe_endpoint(EndpointName="flights-late")
        return State(
            # How far the queue has landed is known up to a later moment with each look.
            objects={key: etag for key, etag in self.lake.etags().items() if not key.startswith("flights/closing/")},
            jobs={job["TrainingJobName"]: job["TrainingJobStatus"] for job in jobs},
            endpoint={name: endpoint[name] for name in ("EndpointStatus", "EndpointConfigName", "LastModifiedTime")},
            announced=self.take_events(),
        )

    def take_events(self) -> list[dict[str, Any]]:
        """Take every completion event that waits, as the subscriber."""
        sqs, queue = self.cloud.client("sqs"), self.resources.completions_queue
        taken: list[dict[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            taken.extend(json.loads(message["Body"]) for message in messages)
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def backlog(self) -> int:
        attributes = self.cloud.client("sqs").get_queue_attributes(
            QueueUrl=self.resources.made_for("queues", "events"), AttributeNames=["All"]
        )["Attributes"]
        return sum(int(count) for name, count in attributes.items() if name.startswith("ApproximateNumberOf"))


def malformed(good: Sequence[Event]) -> dict[str, Event]:
    """Return an event for each mistake, by the reason for which it must be quarantined."""
    body = json.loads(good[0].body)

    def event(name: str, text: str) -> Event:
        return Event(id=name, group="N-BAD", event_time=good[0].event_time, body=text)

    def flight(name: str, **changes: Any) -> str:
        return json.dumps({**{key: value for key, value in body.items() if key not in changes}, "id": name} | changes)

    without_carrier = {key: value for key, value in json.loads(flight("bad-missing")).items() if key != "carrier"}
    return {
        "not_json": event("bad-json", '{"id": "bad-json", '),
        "body: model_type": event("bad-list", "[1, 2]"),
        "event_time: out of range": event("bad-future", flight("bad-future", event_time="2099-01-01T00:00:00+00:00")),
        "carrier: missing": event("bad-missing", json.dumps(without_carrier)),
        "distance: int_type": event("bad-type", flight("bad-type", distance="far")),
    }


@dataclass(frozen=True)
class Stream:
    """``good`` by partition; ``held_back`` is a good event of ``LATE_DAY`` that is not sent at first."""

    good: Sent
    bad: Mapping[str, Event]
    held_back: Event

    @property
    def all_good(self) -> list[Event]:
        return [event for events in self.good.values() for event in events]


@pytest.fixture(scope="module")
def world(cloud: Cloud, flights: Resources, airflow_home: AirflowHome) -> World:
    return World(cloud, flights, airflow_home, LakeContent(cloud.client("s3"), flights.bucket, "flights"))


@pytest.fixture(scope="module")
def stream(world: World) -> Stream:
    """Four real days on the queue, with malformed events in between, and their weather dropped."""
    by_day = {f"dt={day}": list(events) for day, events in events_of_days(data.flights(), DAYS).items()}
    held_back = next(event for event in by_day[LATE_DAY][1000:] if event.id.endswith("-arrived"))
    by_day[LATE_DAY].remove(held_back)
    stream = Stream(by_day, malformed(by_day[LATE_DAY]), held_back)
    order = [*by_day[PARTITIONS[0]], *by_day[PARTITIONS[1]]]
    order[1000:1000] = stream.bad.values()
    order += [*by_day[PARTITIONS[2]], *by_day[PARTITIONS[3]]]
    send(world.cloud.client("sqs"), world.resources.made_for("queues", "events"), order)
    drop_weather(world.cloud.client("s3"), world.resources.bucket, data.weather(), DAYS)
    return stream


@pytest.fixture(scope="module")
def landed(world: World, stream: Stream) -> Finished:
    return world.airflow.cold_dags_test(
        "flights_ingest_queue", "2013-01-04", wait_seconds=2, settling_seconds=0
    ).succeeded()


@pytest.fixture(scope="module")
def transformed_day_by_day(world: World, landed: Finished) -> dict[str, Any]:
    """Two partitions, transformed by one run each; the partitions that existed after each run."""
    partitions = {}
    for day in ("2013-01-01", "2013-01-02"):
        world.airflow.dags_test("flights_transform", day, wait_seconds=0).succeeded()
        partitions[day] = world.lake.partitions("features")
    return partitions


@pytest.fixture(scope="module")
def transformed(world: World, transformed_day_by_day: dict[str, Any]) -> Finished:
    """All four partitions, in one run."""
    return world.airflow.dags_test("flights_transform", "2013-01-04", **RANGE, wait_seconds=0).succeeded()


@pytest.fixture(scope="module")
def trained(world: World, transformed: Finished) -> State:
    world.airflow.dags_test("flights_train", "2013-01-04", **RANGE, poll_seconds=0.2).succeeded()
    return world.state()


@pytest.fixture(scope="module")
def repeated(world: World, trained: State) -> State:
    """The same three runs again."""
    for dag_id, params in (
        ("flights_ingest_queue", {"wait_seconds": 0, "settling_seconds": 0}),
        ("flights_transform", {**RANGE, "wait_seconds": 0}),
        ("flights_train", {**RANGE, "poll_seconds": 0.2}),
    ):
        world.airflow.dags_test(dag_id, "2013-01-04", **params).succeeded()
    return world.state()


@pytest.fixture(scope="module")
def quarantined(world: World, stream: Stream, repeated: State) -> list[str]:
    """The partitions that hold events without a time of their own: when they are over, they are transformed too."""
    today = [partition for partition in world.lake.partitions("raw/events") if partition not in PARTITIONS]
    lake = Lake(
        world.cloud.client("s3"), world.resources.bucket, "flights", now=lambda: datetime.now(UTC) + timedelta(days=2)
    )
    close_source(lake, PIPELINE, PIPELINE.event_sources[0], ALL_LANDED)
    days = [partition.removeprefix("dt=") for partition in today]
    drop_weather(lake.s3, lake.bucket, data.weather(), [date.fromisoformat(day) for day in days])
    world.airflow.dags_test(
        "flights_transform", "2013-01-04", **{"from": days[0], "to": days[-1]}, wait_seconds=0
    ).succeeded()
    world.take_events()
    return today


@dataclass(frozen=True)
class Late:
    """ETags of all manifests before the late event, after it was landed, and after its partition was transformed."""

    before: Mapping[str, str]
    landed: Mapping[str, str]
    transformed: Mapping[str, str]
    announced: Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def late(world: World, stream: Stream, quarantined: list[str]) -> Late:
    """The event that was held back arrives at last."""

    def manifests() -> dict[str, str]:
        return {key: etag for key, etag in world.lake.etags().items() if key.endswith("/_manifest.json")}

    before = manifests()
    send(world.cloud.client("sqs"), world.resources.made_for("queues", "events"), [stream.held_back])
    world.airflow.dags_test("flights_ingest_queue", "2013-01-04", wait_seconds=5, settling_seconds=0).succeeded()
    landed = manifests()
    world.airflow.dags_test("flights_transform", "2013-01-02", wait_seconds=0).succeeded()
    return Late(before, landed, manifests(), world.take_events())


def test_raw_partitions_hold_exactly_the_bodies_that_were_sent(world: World, stream: Stream, landed: Finished) -> None:
    expected = {event.id: event.body for event in (*stream.all_good, *stream.bad.values())}
    tables = [world.lake.table("raw/events", partition) for partition in world.lake.partitions("raw/events")]
    rows = [row for table in tables for row in table.to_pylist()]

    assert Counter(row["event_id"] for row in rows) == Counter(expected.keys())
    assert {row["event_id"]: row["body"] for row in rows} == expected
    assert world.backlog() == 0


def test_valid_events_land_in_the_partition_of_their_time_which_is_closed(
    world: World, stream: Stream, landed: Finished
) -> None:
    for partition, events in stream.good.items():
        ids = set(_column(world, "raw/events", partition))
        assert {event.id for event in events} <= ids
        assert {name.removeprefix("bad-") for name in ids - {event.id for event in events}} <= {"missing", "type"}
        assert world.lake.manifest("raw/events", partition)["state"] == "closed"


def test_event_without_a_time_of_its_own_opens_only_the_partition_in_which_it_was_sent(
    world: World, stream: Stream, landed: Finished
) -> None:
    sent_on = [partition for partition in world.lake.partitions("raw/events") if partition not in PARTITIONS]

    assert 1 <= len(sent_on) <= 2  # two, if midnight passed during the test
    ids = [name for partition in sent_on for name in _column(world, "raw/events", partition)]
    assert sorted(ids) == ["bad-future", "bad-json", "bad-list"]


def test_run_without_a_range_transforms_the_partition_of_its_date(transformed_day_by_day: dict[str, Any]) -> None:
    assert transformed_day_by_day == {"2013-01-01": PARTITIONS[:1], "2013-01-02": PARTITIONS[:2]}


def test_conform_keeps_one_row_per_event_in_group_and_sequence_order(
    world: World, stream: Stream, transformed: Finished
) -> None:
    assert set(world.lake.partitions("conform")) >= set(PARTITIONS)
    for partition, events in stream.good.items():
        good = {event.id for event in events}
        raw = [row for row in world.lake.table("raw/events", partition).to_pylist() if row["event_id"] in good]
        in_order = sorted(raw, key=lambda row: (row["group"], int(row["sequence_number"])))
        # The late event is not there yet, whichever of these tests runs first.
        rows = [name for name in _column(world, "conform", partition) if name != stream.held_back.id]
        assert rows == [row["event_id"] for row in in_order]
        assert len(rows) == len(good)


def test_features_hold_one_row_per_flight_that_arrived_and_was_announced(
    world: World, stream: Stream, transformed: Finished
) -> None:
    sent = {event.id for event in stream.all_good}
    for partition, events in stream.good.items():
        arrived = [event.id for event in events if event.id.endswith("-arrived")]
        expected = [name for name in arrived if name.removesuffix("arrived") + "scheduled" in sent]
        rows = [name for name in _column(world, "features", partition) if name != stream.held_back.id]
        assert sorted(rows) == sorted(expected)
        assert len(rows) > 300


def _column(world: World, dataset: str, partition: str, column: str = "event_id") -> list[Any]:
    values: list[Any] = world.lake.table(dataset, partition)[column].to_pylist()
    return values


def test_subscriber_receives_one_event_per_partition_and_stage_and_one_of_the_training(
    world: World, trained: State
) -> None:
    partitions = {(stage, partition) for stage in ("raw/events", "features") for partition in PARTITIONS}

    announced = Counter((event["stage"], event["subject"]) for event in trained.announced)
    live = json.loads(world.lake.get("flights/deployments/000001.json"))["model"]["job"]
    assert announced == Counter({*partitions, ("training", live)})
    for event in trained.announced:
        if event["stage"] == "training":
            continue
        bucket_and_key = event["manifest_uri"].removeprefix("s3://")
        assert bucket_and_key == f"{world.resources.bucket}/flights/{event['stage']}/{event['subject']}/_manifest.json"
        assert (event["revision"], event["late"]) == (1, False)


def test_completion_events_count_what_the_lake_holds(world: World, stream: Stream, trained: State) -> None:
    counted = {(event["stage"], event["subject"]): event["rows_out"] for event in trained.announced}
    for partition, events in stream.good.items():
        bad = 2 if partition == LATE_DAY else 0
        assert counted["raw/events", partition] == len(events) + bad
        rows = [name for name in _column(world, "features", partition) if name != stream.held_back.id]
        assert counted["features", partition] == len(rows)


def test_both_candidates_train_and_the_better_model_is_live(world: World, trained: State) -> None:
    assert sorted(name.split("-")[1] for name in trained.jobs) == ["linear", "xgboost"]
    assert set(trained.jobs.values()) == {"Completed"}
    assert trained.endpoint["EndpointStatus"] == "InService"
    config = world.cloud.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=trained.endpoint["EndpointConfigName"]
    )
    verdict = json.loads(world.lake.get("flights/evaluations/verdicts/000001.json"))
    reached = {each["model"]["job"]: each["metrics"]["auc"]["value"] for each in verdict["judgements"]}
    assert set(reached) == set(trained.jobs)
    best = max(reached, key=lambda job: reached[job])
    assert [variant["ModelName"] for variant in config["ProductionVariants"]] == [best]
    assert verdict["winner"] == best


def test_live_answers_are_those_of_the_trained_booster(world: World, trained: State, tmp_path: Path) -> None:
    record = json.loads(world.lake.get("flights/deployments/000001.json"))
    assert record["model"]["candidate"] == "xgboost"  # on four days, it is the better one
    rows = world.lake.get(f"flights/snapshots/{record['model']['snapshot']}/gaps/test/part-0.csv").decode().splitlines()
    answer = world.cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="flights-late",
        ContentType="text/csv",
        Accept="text/csv",
        Body="\n".join(row.partition(",")[2] for row in rows[:400]).encode(),
    )
    live = np.array([float(score) for score in answer["Body"].read().decode().split()])

    own = _booster(world, record["model"]["job"], tmp_path).predict(xgboost.DMatrix(_features(rows[:400])))

    assert len(live) == 400
    np.testing.assert_allclose(live, own, atol=1e-6, rtol=0)
    assert np.ptp(own) > 0.1  # a model with a constant score would pass the line above


def test_deployment_is_recorded_with_the_quality_that_the_model_has(
    world: World, trained: State, tmp_path: Path
) -> None:
    assert [key for key in trained.objects if key.startswith("flights/deployments/")] == [
        "flights/deployments/000001.json"
    ]
    record = json.loads(world.lake.get("flights/deployments/000001.json"))
    verdict = json.loads(world.lake.get("flights/evaluations/verdicts/000001.json"))
    job = record["model"]["job"]
    booster = _booster(world, job, tmp_path)
    assert record["recipe"]["config"]["EndpointConfigName"] == trained.endpoint["EndpointConfigName"]
    (judgement,) = [each for each in verdict["judgements"] if each["model"]["job"] == job]
    for channel, reached in (("validation", judgement["validation"]), ("test", record["metrics"]["auc"])):
        key = f"flights/snapshots/{record['model']['snapshot']}/gaps/{channel}/part-0.csv"
        rows = world.lake.get(key).decode().splitlines()
        labels = np.array([float(row.partition(",")[0]) for row in rows])
        scores = booster.predict(xgboost.DMatrix(_features(rows)))
        assert reached == pytest.approx(_auc(labels, scores), abs=1e-4)


def _booster(world: World, job: str, folder: Path) -> xgboost.Booster:
    archive = world.lake.get(f"flights/models/{job}/output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return xgboost.Booster(model_file=bytearray((folder / "xgboost-model").read_bytes()))


def _features(rows: Sequence[str]) -> Any:
    return np.array([[float(field) if field else np.nan for field in row.split(",")[1:]] for row in rows])


def _auc(labels: Any, scores: Any) -> float:
    """Return the AUC by its definition: the share of (positive, negative) pairs in which the positive scores higher."""
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def test_repeated_runs_change_nothing(trained: State, repeated: State) -> None:
    assert repeated.objects == trained.objects
    assert repeated.jobs == trained.jobs
    assert repeated.endpoint == trained.endpoint
    assert repeated.announced == []


def test_malformed_events_are_quarantined_verbatim_with_the_reason(
    world: World, stream: Stream, quarantined: list[str]
) -> None:
    where = {reason: LATE_DAY for reason in ("carrier: missing", "distance: int_type")}
    found = {}
    for partition in (LATE_DAY, *quarantined):
        if world.lake.manifest("conform", partition)["quarantined"]:
            for row in world.lake.quarantined("conform", partition).to_pylist():
                found[row["reason"]] = (row["body"], partition)

    assert {reason: body for reason, (body, _) in found.items()} == {
        reason: event.body for reason, event in stream.bad.items()
    }
    assert {reason: partition for reason, (_, partition) in found.items() if partition == LATE_DAY} == where


def test_malformed_events_are_counted(world: World, stream: Stream, quarantined: list[str]) -> None:
    partitions = (*PARTITIONS, *quarantined)
    rejected = sum((Counter(world.lake.manifest("conform", each)["rejected"]) for each in partitions), Counter())

    assert rejected == Counter(stream.bad.keys())
    for partition in quarantined:
        manifest = world.lake.manifest("conform", partition)
        assert (manifest["rows_in"], manifest["rows_out"]) == (sum(manifest["rejected"].values()), 0)
        assert world.lake.manifest("features", partition)["rows_out"] == 0


def test_late_data_raises_the_revision_of_its_partition_alone(world: World, stream: Stream, late: Late) -> None:
    changed = {key for key, etag in late.landed.items() if late.before.get(key) != etag}

    assert changed == {f"flights/raw/events/{LATE_DAY}/_manifest.json"}
    manifest = world.lake.manifest("raw/events", LATE_DAY)
    assert (manifest["state"], manifest["revision"]) == ("closed", 2)
    assert _column(world, "raw/events", LATE_DAY).count(stream.held_back.id) == 1


def test_late_data_reruns_only_what_depends_on_it(world: World, stream: Stream, late: Late) -> None:
    changed = {key for key, etag in late.transformed.items() if late.landed.get(key) != etag}

    # `enrich` looks back on the weather only; `features` looks back on three days of `enrich`.
    dependants = [("conform", LATE_DAY), ("enrich", LATE_DAY), *(("features", each) for each in PARTITIONS[1:])]
    assert changed == {f"flights/{step}/{partition}/_manifest.json" for step, partition in dependants}
    for step in ("conform", "enrich", "features"):
        assert world.lake.manifest(step, LATE_DAY)["revision"] == 2
        assert _column(world, step, LATE_DAY).count(stream.held_back.id) == 1


def test_late_data_is_announced_as_late(world: World, late: Late, quarantined: list[str]) -> None:
    features = {each: world.lake.manifest("features", each)["revision"] for each in PARTITIONS}
    expected = {("raw/events", LATE_DAY, 2), *(("features", each, 2) for each in PARTITIONS if features[each] == 2)}

    # The partitions of the malformed events were closed since the last ingest.
    announced = [event for event in late.announced if event["subject"] not in quarantined]
    assert Counter((each["stage"], each["subject"], each["revision"]) for each in announced) == Counter(expected)
    assert all(event["late"] for event in announced)


def test_xcom_holds_references_only(world: World, late: Late) -> None:
    xcoms = world.airflow.xcoms()

    assert {dag_id for dag_id, _, _ in xcoms} == {f"flights_{dag}" for dag in ("ingest_queue", "transform", "train")}
    assert {task: len(value) for _, task, value in xcoms if len(value) >= XCOM_BYTES} == {}
