"""The sensors hold no worker while they wait, change nothing, and report what they waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError
from tests.plugins.task_life import deferral_of, rebuilt, run

from localcloud.testing import training
from localcloud.testing.waiting import wait_for
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.training.jobs import find_job
from sluice.workspace import Workspace
from sluice_airflow import probes
from sluice_airflow.sensors import BacklogSensor, DuePartitionsSensor, S3PartitionSensor, TrainingJobSensor
from sluice_airflow.triggers import TrainingJobTrigger

# BacklogSensor


def backlog_sensor(**more: Any) -> BacklogSensor:
    limits = {"poll_seconds": 0.05, "max_wait_seconds": 0.2, **more}
    return BacklogSensor(task_id="wait", pipeline="parcels", source="events", **limits)


@pytest.fixture
def three_messages(parcels: Workspace) -> Iterator[str]:
    """The URL of the queue, on which three messages wait."""
    sqs, queue = parcels.aws.client("sqs"), parcels.resources.made_for("queues", "events")
    for n in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody="{}", MessageGroupId=f"g{n}", MessageDeduplicationId=f"three-{n}")
    yield queue
    sqs.purge_queue(QueueUrl=queue)


def test_backlog_is_counted_and_unchanged(parcels: Workspace, three_messages: str) -> None:
    counts = [run(backlog_sensor()) for _ in range(3)]

    assert counts == [3, 3, 3]
    received = parcels.aws.client("sqs").receive_message(
        QueueUrl=three_messages, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in received] == ["1", "1", "1"]


def test_queue_that_stays_empty_is_no_failure(parcels: Workspace) -> None:
    assert run(backlog_sensor()) == 0


def test_wait_for_an_empty_queue_holds_no_worker(parcels: Workspace) -> None:
    before = time.time()

    trigger = deferral_of(backlog_sensor(poll_seconds="5", max_wait_seconds="300")).trigger

    assert trigger.poll_seconds == 5
    assert before + 300 <= trigger.deadline <= time.time() + 300


@pytest.fixture
def no_queue(parcels: Workspace) -> Iterator[str]:
    """The URL of the queue, which is deleted during the test."""
    sqs, queue = parcels.aws.client("sqs"), parcels.resources.made_for("queues", "events")
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["FifoQueue", "RedrivePolicy"])["Attributes"]
    sqs.delete_queue(QueueUrl=queue)
    yield queue
    sqs.create_queue(QueueName=queue.rpartition("/")[2], Attributes=attributes)


def test_missing_queue_is_retried_by_the_task(parcels: Workspace, no_queue: str) -> None:
    """If this error were final, a continuous DAG would fail all the time."""
    sensor = backlog_sensor()
    gone = {"error": f"queue {no_queue} is gone", "refused": True, "carried": {}}

    for failing in (lambda: sensor.execute({}), lambda: sensor.resume({}, gone)):
        with pytest.raises(AirflowException, match=r"^queue .* is gone") as failure:
            failing()
        assert not isinstance(failure.value, AirflowFailException)


def test_throttled_first_probe_does_not_end_the_wait(
    parcels: Workspace, three_messages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS throttles with HTTP 400, so by the status alone it would be a refusal."""
    throttled = ClientError(
        {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "GetParametersByPath"
    )
    answers: list[Any] = [throttled]
    probe = probes.backlog

    def throttled_once(workspace: Workspace, **arguments: Any) -> Any:
        if answers:
            raise answers.pop()
        return probe(workspace, **arguments)

    monkeypatch.setattr(probes, "backlog", throttled_once)

    assert run(backlog_sensor(max_wait_seconds=30)) == 3


# S3PartitionSensor

PARTITIONS = [Partition.parse(f"dt=2013-03-0{day}") for day in (1, 2)]
TARIFFS = "drops/tariffs/{}/_SUCCESS"


def partition_sensor(**more: Any) -> S3PartitionSensor:
    limits = {"poll_seconds": 0.05, "max_wait_seconds": 0.2, **more}
    return S3PartitionSensor(task_id="wait", pipeline="parcels", **limits)


CONTEXT: Any = {
    "params": {"from": "2013-03-01", "to": "2013-03-02"},
    "dag_run": SimpleNamespace(logical_date=None, triggering_user_name="admin"),
}


def set_manifest(parcels: Workspace, partition: Partition, state: Any) -> None:
    dataset = raw_dataset("events")
    manifest = Manifest(dataset=dataset, partition=partition.key, state=state, written_at=parcels.lake.now())
    parcels.lake.update_manifest(dataset, partition, lambda _: manifest)


def put_marker(parcels: Workspace, partition: Partition) -> None:
    parcels.lake.put(TARIFFS.format(partition.key), b"")


@pytest.fixture
def complete_but_for_one_marker(parcels: Workspace) -> Iterator[None]:
    for partition in PARTITIONS:
        set_manifest(parcels, partition, "closed")
    put_marker(parcels, PARTITIONS[0])
    yield
    for key, _, _ in (
        *parcels.lake.objects("parcels/raw/"),
        *parcels.lake.objects("parcels/started/"),
        *parcels.lake.objects("drops/tariffs/"),
    ):
        parcels.lake.s3.delete_object(Bucket=parcels.lake.bucket, Key=key)


@pytest.mark.usefixtures("complete_but_for_one_marker")
def test_partitions_are_complete_once_all_are_closed_and_all_drops_are_marked(parcels: Workspace) -> None:
    missing = r"^not complete: parcels/tariffs dt=2013-03-02: no marker under drops/tariffs/dt=2013-03-02/\. These "
    with pytest.raises(AirflowFailException, match=missing):
        run(partition_sensor(), CONTEXT)

    put_marker(parcels, PARTITIONS[1])
    assert run(partition_sensor(), CONTEXT) == ["dt=2013-03-01..dt=2013-03-02"]

    set_manifest(parcels, PARTITIONS[0], "open")
    with pytest.raises(AirflowFailException, match="parcels/events dt=2013-03-01: still open"):
        run(partition_sensor(), CONTEXT)


@pytest.mark.usefixtures("complete_but_for_one_marker")
def test_marker_that_arrives_during_the_wait_ends_it(parcels: Workspace) -> None:
    trigger = rebuilt(deferral_of(partition_sensor(max_wait_seconds=30), CONTEXT).trigger)

    async def put_while_waiting() -> Any:
        first = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.to_thread(put_marker, parcels, PARTITIONS[1])
        return (await asyncio.wait_for(first, 30)).payload

    assert asyncio.run(put_while_waiting())["found"] is True


# DuePartitionsSensor


def due_sensor() -> DuePartitionsSensor:
    return DuePartitionsSensor(task_id="wait", pipeline="parcels", poll_seconds=0.05, max_wait_seconds=0.2)


@pytest.mark.usefixtures("complete_but_for_one_marker")
def test_complete_partition_is_due_until_a_run_has_begun_on_it(parcels: Workspace) -> None:
    assert run(due_sensor()) == ["dt=2013-03-01"]

    in_dags_test = SimpleNamespace(logical_date=None, triggering_user_name="dag_test")
    run(partition_sensor(), {"params": {"from": "2013-03-01", "to": None}, "dag_run": in_dags_test})
    assert run(due_sensor()) == ["dt=2013-03-01"]

    run(partition_sensor(), {**CONTEXT, "params": {"from": "2013-03-01", "to": None}})
    assert run(due_sensor()) == []

    put_marker(parcels, PARTITIONS[1])
    assert run(due_sensor()) == ["dt=2013-03-02"]


# TrainingJobSensor


@pytest.fixture(scope="module")
def data(parcels: Workspace) -> training.Data:
    return training.put_data(parcels.lake.s3, "training-job-sensor")


def start_job(parcels: Workspace, data: training.Data, name: str, **hyperparameters: str) -> str:
    parcels.aws.client("sagemaker").create_training_job(**training.request(name, data, hyperparameters))
    return name


def job_sensor(job: str, **more: Any) -> TrainingJobSensor:
    limits = {"max_runtime": timedelta(hours=1), "poll_seconds": 0.1, **more}
    return TrainingJobSensor(task_id="wait_for_training", pipeline="parcels", job_name=job, **limits)


def test_sensor_waits_until_the_job_has_completed(parcels: Workspace, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-completed")

    assert run(job_sensor(job)) == "Completed"
    assert run(job_sensor(job)) == "Completed"  # at the first probe, without waiting


def test_failed_job_fails_the_task_with_its_reason(parcels: Workspace, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-failed", objective="binary:nonsense")

    with pytest.raises(AirflowFailException, match=r"^training job sensed-failed ended Failed \(.*nonsense") as failure:
        run(job_sensor(job))
    assert "\n" not in str(failure.value)


def test_wait_lasts_the_time_limit_of_the_job_and_half_an_hour(parcels: Workspace, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-limit", **training.ENDLESS)
    try:
        trigger = deferral_of(job_sensor(job, max_runtime=timedelta(hours=5), poll_seconds="60")).trigger
    finally:
        parcels.aws.client("sagemaker").stop_training_job(TrainingJobName=job)

    assert type(trigger) is TrainingJobTrigger
    assert trigger.poll_seconds == 60
    assert trigger.deadline == pytest.approx(time.time() + 5.5 * 3600, abs=30)


def test_only_a_user_who_kills_the_task_stops_the_job(parcels: Workspace, data: training.Data) -> None:
    """GIVEN a waiting task WHEN the triggerer restarts THEN the job continues; WHEN a user kills it THEN it stops."""
    job = start_job(parcels, data, "sensed-killed", **training.ENDLESS)
    trigger = rebuilt(deferral_of(job_sensor(job)).trigger)

    async def cancel() -> None:
        waiting = asyncio.ensure_future(anext(trigger.run()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel())
    assert status(parcels, job) == "InProgress"

    asyncio.run(trigger.on_kill())
    assert wait_for(lambda: status(parcels, job) == "Stopped", what="the end of the job")
    with pytest.raises(AirflowFailException, match=f"^training job {job} ended Stopped"):
        run(job_sensor(job))


def test_sensor_killed_during_its_probe_stops_the_job(parcels: Workspace, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-killed-probing", **training.ENDLESS)

    job_sensor(job).on_kill()

    assert wait_for(lambda: status(parcels, job) == "Stopped", what="the end of the job")


def status(parcels: Workspace, job: str) -> str:
    found = find_job(parcels, job)
    assert found is not None
    return found.status
