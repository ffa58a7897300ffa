"""The DAGs of a stream, by ``airflow dags test``, of a pipeline of the tests' own: ingest, reshard, replay."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.chaos import audit
from tests.conftest import Cloud
from tests.dags import test_dag_policy as policy
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.draining import workspace_of
from tests.sluice.sources.stream.streams import parts
from tests.sluice.toy import CONTRACT, reading

import pipelines
from sluice.aws.resources import Resources, find
from sluice.declaration.loading import load_pipeline
from sluice.lake.store import Lake
from sluice.pool import INGEST_POOL
from sluice.sending.lanes import Event, send_events
from sluice.sources.stream.send import StreamSender
from sluice.sources.stream.shards import KinesisStream
from sluice.steps.runner import run_step

_DECLARATION = '''
"""Clicks: a stream, conformed."""

from datetime import UTC, datetime

from sluice.declaration import Conform, Deployment, Gate, Pipeline, Stream, Training, XGBoost

PIPELINE = Pipeline(
    name="clicks",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(Stream("stream", event_id="id", event_time="at"),),
    steps=(Conform("conform", source="stream", contract="contract:Reading"),),
    training=Training(
        rows="conform",
        label="late",
        features=("value",),
        candidates=(XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 5}),),
        gate=Gate("auc", at_least=0.6),
    ),
    deployment=Deployment(endpoint="clicks-late"),
)
'''
FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
RUN = "2013-01-09"
DAYS = [f"dt=2013-01-0{day}" for day in (1, 2, 3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder before ``include`` on the path, here as well: its pipelines are the shipped ones and ``clicks``."""
    folder = tmp_path_factory.mktemp("clicks")
    (folder / "pipelines" / "clicks").mkdir(parents=True)
    for shipped in (ROOT / "include" / "pipelines").iterdir():
        if not shipped.name.startswith("__pycache__"):
            (folder / "pipelines" / shipped.name).symlink_to(shipped)
    for name, source in {"__init__": "", "pipeline": _DECLARATION, "contract": CONTRACT}.items():
        (folder / "pipelines" / "clicks" / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder / "pipelines")])
        yield folder
    for module in [name for name in sys.modules if name.startswith("pipelines.clicks")]:
        del sys.modules[module]


# The rules for all DAGs


@pytest.fixture(scope="module")
def stream_dags(folder: Path) -> DagBag:
    return DagBag(ROOT / "dags")


def test_stream_is_ingested_and_a_pipeline_with_a_stream_is_replayed(stream_dags: DagBag) -> None:
    assert stream_dags.import_errors == {}
    found = {name for name in stream_dags.dags if name.startswith("clicks_")}
    assert found >= {"clicks_ingest_stream", "clicks_replay", "clicks_transform"}
    assert "clicks_ingest_queue" not in found
    params = stream_dags.dags["clicks_replay"].params
    assert (params["source"], params["origin"]) == ("stream", "stream")


@pytest.mark.parametrize("dag_id", ["clicks_ingest_stream", "clicks_replay"])
@pytest.mark.parametrize(
    "check",
    [
        policy.test_docs_describe_input_output_and_what_to_do_on_failure,
        policy.test_docs_name_every_param,
        policy.test_params_are_typed_and_described,
        policy.test_concurrent_runs_are_limited,
        policy.test_every_task_is_retried_and_has_a_time_limit,
    ],
    ids=lambda check: check.__name__.removeprefix("test_"),
)
def test_stream_dags_follow_the_rules_for_all_dags(
    stream_dags: DagBag, dag_id: str, check: Callable[[Any], None]
) -> None:
    check(stream_dags.dags[dag_id])


def test_only_reading_a_shard_takes_slots_of_the_ingest_pool(stream_dags: DagBag) -> None:
    tasks = stream_dags.dags["clicks_ingest_stream"].tasks
    assert [task.task_id for task in tasks if task.pool == INGEST_POOL] == ["drain"]
    assert {task.task_id for task in tasks} == {"wait", "units", "drain", "settled", "close", "announce"}


# Runs


@dataclass
class World:
    """The cloud as the pipeline ``clicks`` has it, an Airflow, and what was sent so far."""

    cloud: Cloud
    resources: Resources
    airflow: AirflowHome
    lake: Lake
    sent: list[audit.Sent] = field(default_factory=list)

    def send(self, count: int) -> None:
        events = []
        for number in range(len(self.sent), len(self.sent) + count):
            at = FIRST_DAY + timedelta(minutes=14 * number)
            name, group = f"click-{number:04d}", f"group-{number % 11}"
            events.append(Event(name, group, at, reading(name, at, number)))
            self.sent.append(audit.Sent(name, group, number, events[-1].body))
        stream = KinesisStream(self.cloud.client("kinesis"), self.resources.made_for("streams", "stream"))
        send_events(events, StreamSender(stream))

    def run(self, dag: str, **params: Any) -> Any:
        return self.airflow.dags_test(f"clicks_{dag}", RUN, **params)

    def conform(self) -> None:
        run_step(workspace_of(self.lake, load_pipeline("clicks")), "conform", f"{DAYS[0]}..{DAYS[-1]}")

    def content(self, prefix: str = "") -> dict[str, str]:
        return {key: etag for key, _, etag in self.lake.objects(f"clicks/{prefix}")}

    def announced(self) -> list[tuple[str, str, int, bool]]:
        """Return (stage, partition, revision, late) of the completion events since the last call."""
        sqs, queue = self.cloud.client("sqs"), self.resources.completions_queue
        taken: list[tuple[str, str, int, bool]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                taken.append((event["stage"], event["subject"], event["revision"], event["late"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return sorted(taken)

    def audit(self) -> audit.Counts:
        return audit.audit(self.lake.s3, self.lake.bucket, "clicks", "stream", self.sent)


@pytest.fixture(scope="module")
def world(cloud: Cloud, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("airflow-clicks")
    environment = airflow_environment(cloud, home)
    environment["PYTHONPATH"] = f"{folder}:{environment['PYTHONPATH']}"
    airflow = AirflowHome(home, environment)
    try:
        airflow.command("sluice", "provision", "clicks").succeeded()
        resources = find(cloud, "clicks")
        airflow.airflow("db", "migrate").succeeded()
        yield World(cloud, resources, airflow, Lake(cloud.client("s3"), resources.bucket, "clicks"))
    finally:
        airflow.close()


@pytest.mark.slow
def test_stream_is_landed_through_a_split_and_deleted_parts_are_replayed_to_the_byte(world: World) -> None:
    kinesis, stream = world.cloud.client("kinesis"), world.resources.made_for("streams", "stream")
    world.send(150)
    (first, *_) = kinesis.list_shards(StreamName=stream)["Shards"]
    middle = int(first["HashKeyRange"]["EndingHashKey"]) // 2
    kinesis.split_shard(StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle))
    world.send(150)
    world.run("ingest_stream", wait_seconds=0).succeeded()  # the parent to its end
    assert world.announced() == [], "the children may hold more of each day"
    world.run("ingest_stream", wait_seconds=0).succeeded()  # its children
    assert world.announced() == [("raw/stream", day, 1, False) for day in DAYS]
    world.conform()
    assert world.audit().conformed == 300
    raw, conformed = world.content("raw/"), world.content("conform/")

    for key in (key for key in raw if DAYS[1] in key):
        world.lake.s3.delete_object(Bucket=world.lake.bucket, Key=key)
    since = datetime.now(UTC) - timedelta(hours=1)
    world.run("replay", **{"from": since.isoformat(), "to": "2100-01-01"}).succeeded()

    # Each shard returns the same records, so the same parts: nothing is new to announce.
    assert parts(world.content("raw/")) == parts(raw)
    assert world.announced() == []
    world.conform()
    assert world.audit().conformed == 300
    assert parts(world.content("conform/")) == parts(conformed)
