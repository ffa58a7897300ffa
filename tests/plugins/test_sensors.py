"""The sensors hold no worker while they wait, change nothing, and report what they waited for."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import _USER_ACTION_CANCEL_MSG, TriggerRunner
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.calendars import utc
from tests.conftest import Cloud
from tests.plugins.faults import Happens, refused, refused_by_s3
from tests.plugins.task_life import deferral_of, rebuilt, run

from localcloud.testing import training, tuning
from localcloud.testing.waiting import wait_for
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.training.jobs import find_job
from sluice.training.names import tuning_name_stem
from sluice.workspace import Workspace
from sluice_airflow.job_sensors import TrainingJobSensor
from sluice_airflow.probes import Probe
from sluice_airflow.sensors import BacklogSensor, DuePartitionsSensor, S3PartitionSensor, SettledSensor
from sluice_airflow.triggers import TrainingJobTrigger

# BacklogSensor


def backlog_sensor(**more: Any) -> BacklogSensor:
    limits = {"poll_seconds": 0.05, "max_wait_seconds": 0.2, **more}
    return BacklogSensor(task_id="wait", pipeline="parcels", source="events", **limits)


@pytest.fixture
def three_messages(parcels: Workspace, own_name: str) -> Iterator[str]:
    """The URL of the queue, on which three messages wait."""
    sqs, queue = parcels.aws.client("sqs"), parcels.resources.made_for("queues", "events")
    for n in range(3):
        sqs.send_message(
            QueueUrl=queue, MessageBody="{}", MessageGroupId=f"g{n}", MessageDeduplicationId=f"{own_name}-{n}"
        )
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


# All sensors that probe at once


@pytest.mark.parametrize("code", ["ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "ExpiredToken"])
@pytest.mark.parametrize("call", ["sqs.GetQueueAttributes", "s3.GetObject", "sagemaker.DescribeTrainingJob"])
def test_transient_failure_of_the_first_probe_begins_the_wait(
    parcels: Workspace, at_aws: Callable[[str, Happens], None], call: str, code: str
) -> None:
    """AWS reports these with HTTP 400, so by the status alone they would be refusals."""
    sensors = {"sqs": backlog_sensor, "s3": partition_sensor, "sagemaker": lambda: job_sensor("sensed-never")}
    at_aws(call, lambda **_: refused_by_s3(code) if call.startswith("s3.") else refused(code))

    sensor = sensors[call.partition(".")[0]]()

    assert deferral_of(sensor, CONTEXT).method_name == "resume"


def test_throttled_opening_begins_the_wait(
    parcels: Workspace, three_messages: str, at_aws: Callable[[str, Happens], None]
) -> None:
    answers = [refused("ThrottlingException")]
    at_aws("ssm.GetParametersByPath", lambda **_: answers.pop() if answers else None)

    assert run(backlog_sensor(max_wait_seconds=30)) == 3
    assert answers == []


# SettledSensor


def settled_sensor(**more: Any) -> SettledSensor:
    limits = {"poll_seconds": 0.05, "max_wait_seconds": 0.2, "settling_seconds": "600", **more}
    return SettledSensor(task_id="settled", pipeline="parcels", source="events", **limits)


@pytest.fixture
def nothing_proved(parcels: Workspace) -> None:
    parcels.lake.s3.delete_object(Bucket=parcels.lake.bucket, Key=parcels.lake.layout.queue_progress("events"))


@pytest.mark.usefixtures("nothing_proved")
def test_closing_waits_until_the_counters_have_settled_and_holds_no_worker(parcels: Workspace) -> None:
    trigger = deferral_of(settled_sensor()).trigger

    assert trigger.arguments == {"pipeline": "parcels", "source": "events", "settling_seconds": 600}
    assert "to stay at zero for 600 s" in trigger.waiting_for
    assert run(settled_sensor(settling_seconds="1", max_wait_seconds=30))


@pytest.mark.usefixtures("nothing_proved")
def test_counters_that_do_not_settle_are_no_failure(parcels: Workspace) -> None:
    assert run(settled_sensor()) is False


def test_closing_waits_no_longer_once_more_waits_to_land(parcels: Workspace, three_messages: str) -> None:
    assert run(settled_sensor()) is True


# S3PartitionSensor

PARTITIONS = [utc(f"dt=2013-03-0{day}") for day in (1, 2)]
TARIFFS = "drops/tariffs/{}/_SUCCESS"


def partition_sensor(**more: Any) -> S3PartitionSensor:
    limits = {"poll_seconds": 0.05, "max_wait_seconds": 0.2, **more}
    return S3PartitionSensor(task_id="wait", pipeline="parcels", **limits)


CONTEXT: Any = {
    "run_id": "run",
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
def test_run_goes_on_without_a_drop_and_fails_if_no_step_can_run(
    parcels: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["dt=2013-03-01..dt=2013-03-02"]
    missing = "parcels/tariffs dt=2013-03-02: no _SUCCESS under drops/tariffs/dt=2013-03-02/"
    assert run(partition_sensor(), CONTEXT) == both
    assert f"not complete: {missing}. Steps that read it are held back" in capsys.readouterr().out

    put_marker(parcels, PARTITIONS[1])
    assert run(partition_sensor(), CONTEXT) == both
    assert "held back" not in capsys.readouterr().out

    set_manifest(parcels, PARTITIONS[0], "open")
    assert run(partition_sensor(), CONTEXT) == both
    set_manifest(parcels, PARTITIONS[1], "open")
    reason = r"^not complete: parcels/events dt=2013-03-01\.\.dt=2013-03-02: still open.* These partitions are "
    with pytest.raises(AirflowFailException, match=reason):
        run(partition_sensor(), CONTEXT)


@pytest.mark.usefixtures("complete_but_for_one_marker")
def test_partitions_with_much_work_are_a_chunk_each(parcels: Workspace) -> None:
    put_marker(parcels, PARTITIONS[1])
    for partition in PARTITIONS:
        parcels.lake.put(f"drops/tariffs/{partition.key}/tariffs.csv", bytes(2**24))

    assert run(partition_sensor(), CONTEXT) == ["dt=2013-03-01", "dt=2013-03-02"]


@pytest.mark.usefixtures("complete_but_for_one_marker")
def test_marker_that_arrives_during_the_wait_ends_it(parcels: Workspace) -> None:
    trigger = rebuilt(deferral_of(partition_sensor(max_wait_seconds=30), CONTEXT).trigger)

    async def put_while_waiting() -> Any:
        first = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.to_thread(put_marker, parcels, PARTITIONS[1])
        return (await asyncio.wait_for(first, 30)).payload

    event = asyncio.run(put_while_waiting())
    assert event["found"] is True
    assert partition_sensor().resume(CONTEXT, event) == ["dt=2013-03-01..dt=2013-03-02"]


# DuePartitionsSensor


def due_sensor() -> DuePartitionsSensor:
    return DuePartitionsSensor(task_id="wait", pipeline="parcels", poll_seconds=0.05, max_wait_seconds=0.2)


@pytest.mark.usefixtures("complete_but_for_one_marker")
def test_partition_is_due_until_a_run_has_begun_on_what_is_there(parcels: Workspace) -> None:
    first, second = (partition.key for partition in PARTITIONS)
    assert run(due_sensor()) == [first]  # the second one lacks a drop

    in_dags_test = SimpleNamespace(logical_date=None, triggering_user_name="dag_test")
    run(partition_sensor(), {"params": {"from": "2013-03-01", "to": None}, "dag_run": in_dags_test})
    assert run(due_sensor()) == [first]

    run(partition_sensor(), {**CONTEXT, "params": {"from": "2013-03-01", "to": None}})
    assert run(due_sensor()) == [second]

    for name in ("first", "second"):  # of a drop that is on its way
        parcels.lake.put(f"drops/tariffs/{second}/{name}.csv", b"zone\n1\n")
        if name == "first":
            run(partition_sensor(), {**CONTEXT, "params": {"from": "2013-03-02", "to": None}})
        assert run(due_sensor()) == []

    put_marker(parcels, PARTITIONS[1])
    assert run(due_sensor()) == [second]


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


def test_failed_job_fails_the_task_with_its_reason_and_the_end_of_its_log(
    parcels: Workspace, data: training.Data
) -> None:
    job = start_job(parcels, data, "sensed-failed", objective="binary:nonsense")

    with pytest.raises(AirflowFailException) as failure:
        run(job_sensor(job))

    reason, _, end = str(failure.value).partition(
        "; its log (/aws/sagemaker/TrainingJobs, stream sensed-failed/…) ends: "
    )
    assert reason.startswith("training job sensed-failed ended Failed (")
    assert "nonsense" in reason
    lines = end.removesuffix("; correct the cause, then clear the launch task for a new attempt")
    assert lines != end
    assert "nonsense" in lines
    assert len(lines) <= 500
    assert "\n" not in str(failure.value)


def test_log_that_can_not_be_read_does_not_hide_the_reason(
    parcels: Workspace, data: training.Data, at_aws: Callable[[str, Happens], None]
) -> None:
    job = start_job(parcels, data, "sensed-failed-no-log", objective="binary:nonsense")
    at_aws("logs.DescribeLogStreams", lambda **_: refused("AccessDeniedException", "is not authorized", 400))

    with pytest.raises(
        AirflowFailException, match=r"Failed \(.*nonsense.* ends: its log can't be read: AWS refused Desc"
    ):
        run(job_sensor(job))


def test_job_that_exceeds_its_time_limit_fails_the_task(parcels: Workspace, data: training.Data) -> None:
    request = training.request("sensed-too-long", data, training.ENDLESS)
    request["StoppingCondition"] = {"MaxRuntimeInSeconds": 1}
    parcels.aws.client("sagemaker").create_training_job(**request)

    with pytest.raises(
        AirflowFailException,
        match=r"^training job sensed-too-long ended Stopped \(MaxRuntimeExceeded: .*max_runtime of Training",
    ):
        run(job_sensor("sensed-too-long"))


def test_log_says_how_far_the_job_is(parcels: Workspace, cloud: Cloud, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-progress", **training.ENDLESS)
    try:
        training.trains(cloud, job)
        waiting = Probe("ended_training_job", "parcels", job_name=job)()
    finally:
        parcels.aws.client("sagemaker").stop_training_job(TrainingJobName=job)

    said = r"training job sensed-progress, which is Training: \[\d+\] train-auc:[\d.]+ .*validation-auc:[\d.]+ .*"
    assert re.fullmatch(said, waiting.what)


def test_log_ends_with_the_metrics_of_the_job(
    parcels: Workspace, data: training.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, lines = start_job(parcels, data, "sensed-metrics"), list[str]()
    sensor = job_sensor(job)

    class Log:
        def info(self, message: str, *arguments: Any) -> None:
            lines.append(message % arguments)

        warning = info

    monkeypatch.setattr(sensor, "_cached_logger", Log())

    assert run(sensor) == "Completed"
    metrics = r"train:auc [\d.]+, train:logloss [\d.]+, validation:auc [\d.]+, validation:logloss [\d.]+"
    assert re.fullmatch(rf"training job sensed-metrics is Completed: {metrics}", lines[-1])


def test_wait_lasts_the_time_limit_of_the_job_and_half_an_hour(parcels: Workspace, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-limit", **training.ENDLESS)
    try:
        trigger = deferral_of(job_sensor(job, max_runtime=timedelta(hours=5), poll_seconds="60")).trigger
    finally:
        parcels.aws.client("sagemaker").stop_training_job(TrainingJobName=job)

    assert type(trigger) is TrainingJobTrigger
    assert trigger.poll_seconds == 60
    assert trigger.deadline == pytest.approx(time.time() + 5.5 * 3600, abs=30)


def start_tuning(parcels: Workspace, data: training.Data, digit: str, **hyperparameters: str) -> str:
    """Start a tuning job of the candidate ``tuned``."""
    candidate = parcels.pipeline.require_training().candidate("tuned")
    name = tuning_name_stem(parcels.pipeline, candidate) + digit * 12
    request = tuning.request(name, data, 3, hyperparameters)
    parcels.aws.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    return name


def test_sensor_waits_until_a_tuning_job_has_completed(parcels: Workspace, data: training.Data) -> None:
    job = start_tuning(parcels, data, "a")

    assert run(job_sensor(job)) == "Completed"
    assert run(job_sensor(job)) == "Completed"  # at the first probe, without waiting


def test_failed_tuning_job_fails_the_task_with_the_reason_of_a_training_job(
    parcels: Workspace, data: training.Data
) -> None:
    job = start_tuning(parcels, data, "b", objective="binary:nonsense")

    with pytest.raises(AirflowFailException, match=rf"^tuning job {job} ended Failed .*nonsense.*; correct the cause"):
        run(job_sensor(job))


def test_user_who_kills_the_task_stops_the_tuning_job(parcels: Workspace, data: training.Data) -> None:
    job = start_tuning(parcels, data, "c", **training.ENDLESS)
    waiting = Probe("ended_training_job", "parcels", job_name=job)()
    trigger = deferral_of(job_sensor(job)).trigger

    asyncio.run(rebuilt(trigger).on_kill())

    assert waiting.what == f"tuning job {job}, which is InProgress: 0 of 3 training jobs have ended"
    stopped = tuning.finished(parcels.aws.client("sagemaker"), job)
    assert stopped["HyperParameterTuningJobStatus"] == "Stopped"


def test_only_a_user_who_kills_the_task_stops_the_job(parcels: Workspace, data: training.Data) -> None:
    """GIVEN a waiting task WHEN the triggerer restarts THEN the job continues; WHEN a user clears it THEN it stops.

    Airflow's own runner tells the two apart.
    """
    job = start_job(parcels, data, "sensed-killed", **training.ENDLESS)
    trigger = deferral_of(job_sensor(job)).trigger

    asyncio.run(cancelled(rebuilt(trigger)))
    assert status(parcels, job) == "InProgress"

    asyncio.run(cancelled(rebuilt(trigger), _USER_ACTION_CANCEL_MSG))
    assert wait_for(lambda: status(parcels, job) == "Stopped", what="the end of the job")
    with pytest.raises(AirflowFailException, match=f"^training job {job} ended Stopped"):
        run(job_sensor(job))


async def cancelled(trigger: Any, message: str | None = None) -> None:
    """Run a trigger as the triggerer does, and cancel it in mid-wait: without a message, as a shutdown does."""
    runner = TriggerRunner()
    runner.triggers[1] = {"name": "wait", "events": 0}  # type: ignore[typeddict-item]
    waiting = asyncio.ensure_future(runner.run_trigger(1, trigger))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.5)
    waiting.cancel(message)
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_sensor_killed_during_its_probe_stops_the_job(parcels: Workspace, data: training.Data) -> None:
    job = start_job(parcels, data, "sensed-killed-probing", **training.ENDLESS)

    job_sensor(job).on_kill()

    assert wait_for(lambda: status(parcels, job) == "Stopped", what="the end of the job")


def status(parcels: Workspace, job: str) -> str:
    found = find_job(parcels, job)
    assert found is not None
    return found.status
