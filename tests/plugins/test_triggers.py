"""A trigger probes until it finds something, is refused, or its time is over; the queue is unchanged."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from inspect import isfunction
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from tests.conftest import Cloud, free_ports
from tests.dags.airflow_home import aws_connection
from tests.plugins.faults import Happens, refused, refused_by_s3
from tests.plugins.task_life import Clock, event_of, lines_of_triggers, rebuilt

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.steps import reach
from sluice.training import kinds
from sluice.workspace import Workspace
from sluice_airflow import probes
from sluice_airflow.probes import Waiting
from sluice_airflow.shared import SharedWorkspaces
from sluice_airflow.triggers import ProbeTrigger, TrainingJobTrigger


def endpoint_probe(*, seconds: float = 30, pipeline: str = "parcels", **more: Any) -> ProbeTrigger:
    return ProbeTrigger(
        probe="settled_endpoint",
        arguments={"pipeline": pipeline},
        poll_seconds=0.05,
        deadline=time.time() + seconds,
        **more,
    )


def queue_probe(seconds: float, source: str = "events") -> ProbeTrigger:
    arguments = {"pipeline": "parcels", "source": source}
    return ProbeTrigger(probe="backlog", arguments=arguments, poll_seconds=0.05, deadline=time.time() + seconds)


async def first_event(trigger: ProbeTrigger) -> Any:
    return (await asyncio.wait_for(anext(trigger.run()), 60)).payload


@pytest.mark.parametrize("kind", [ProbeTrigger, TrainingJobTrigger])
def test_trigger_survives_serialization(kind: type[ProbeTrigger]) -> None:
    trigger = kind(
        "backlog",
        {"pipeline": "parcels", "source": "events"},
        0.5,
        1e9,
        carried={"config": "a", "n": 1},
        waiting_for="x",
        begun=7,
    )

    back = rebuilt(trigger)

    assert type(back) is kind
    assert back.serialize() == trigger.serialize()
    assert vars(back).items() >= {"probe": "backlog", "poll_seconds": 0.5, "deadline": 1e9}.items()
    assert (back.carried, back.waiting_for, back.begun) == ({"config": "a", "n": 1}, "x", 7)


def test_finding_is_returned_with_the_carried_values(parcels: Workspace) -> None:
    assert event_of(endpoint_probe(carried={"reason": "r"})) == {"found": "Deleted", "carried": {"reason": "r"}}


def test_time_out_is_reported(parcels: Workspace) -> None:
    started = time.monotonic()
    waiting_for = f"a message in the queue {parcels.resources.made_for('queues', 'events')}"
    assert event_of(queue_probe(seconds=0.3)) == {"timed_out": True, "waiting_for": waiting_for, "carried": {}}
    assert time.monotonic() - started >= 0.3


def test_reason_for_waiting_is_logged_when_it_changes(parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN probes that wait for this, this, that and that THEN each is logged once."""
    answers = iter([Waiting("this"), Waiting("this"), Waiting("that"), Waiting("that"), 7])
    monkeypatch.setattr(probes, "backlog", lambda *_, **__: next(answers))
    lines = lines_of_triggers(monkeypatch)

    assert asyncio.run(first_event(queue_probe(seconds=30)))["found"] == 7
    assert lines == ["waiting for this; 0:00:00 so far", "waiting for that; 0:00:00 so far"]


def test_reason_for_waiting_is_logged_every_ten_minutes(parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a wait of half an hour for the same, that the task has named, and a triggerer that restarts meanwhile."""
    clock, lines = Clock(monkeypatch), lines_of_triggers(monkeypatch)
    monkeypatch.setattr(probes, "backlog", lambda *_, **__: 7 if clock.now >= 2100 else Waiting("this"))
    arguments = {"pipeline": "parcels", "source": "events"}
    trigger = ProbeTrigger("backlog", arguments, poll_seconds=60, deadline=1e9, waiting_for="this")

    assert event_of(trigger)["found"] == 7
    minutes = [re.fullmatch(r"waiting for this; 0:(\d\d):\d\d so far", line) for line in lines]
    assert [each and each[1] for each in minutes] == ["10", "20", "30"]
    assert 2100 <= clock.now < 2160
    clock.now = 2000
    lines.clear()
    assert event_of(trigger)["found"] == 7
    (line,) = lines
    assert re.fullmatch(r"waiting for this; 0:3[34]:\d\d so far", line)


def test_wait_makes_its_clients_once_and_again_after_a_failure(
    parcels: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9: a client takes longer to make than most calls take. After a failure, credentials are read again."""
    made: list[str] = []
    make_client, backlog, numbers = Aws.make_client, probes.backlog, iter(range(6))

    def counted(aws: Aws, service: str) -> Any:
        made.append(service)
        return make_client(aws, service)

    def fourth_fails(workspace: Workspace, source: str) -> Any:
        number = next(numbers)
        if number == 3:
            raise EndpointConnectionError(endpoint_url="https://sqs")
        return 1 if number == 5 else backlog(workspace, source)

    monkeypatch.setattr(Aws, "make_client", counted)
    monkeypatch.setattr(probes, "backlog", fourth_fails)

    assert event_of(queue_probe(seconds=30)) == {"found": 1, "carried": {}}
    assert sorted(made) == ["s3", "s3", "sqs", "sqs", "ssm", "ssm"]


def test_waits_of_a_pipeline_share_their_clients(parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN many waits at once, as in a triggerer, THEN they make each client once, for all their probes."""
    made: list[str] = []
    make_client, asked = Aws.make_client, Counter[str]()

    def counted(aws: Aws, service: str) -> Any:
        made.append(service)
        return make_client(aws, service)

    def third_time(workspace: Workspace, source: str) -> Any:
        workspace.aws.client("sqs")
        asked[source] += 1
        return asked[source] if asked[source] == 3 else Waiting("the third time")

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(first_event(queue_probe(30, f"source-{number}")) for number in range(40)))

    monkeypatch.setattr(Aws, "make_client", counted)
    monkeypatch.setattr(probes, "backlog", third_time)

    assert [event["found"] for event in asyncio.run(all_at_once())] == [3] * 40
    assert sorted(made) == ["s3", "sqs", "ssm"]


def test_waits_that_start_at_once_do_not_probe_at_once() -> None:
    """Their first probes are spread over half of the interval, and in the same way after a restart."""
    triggers = [job_probe(f"job-{number}", poll_seconds=60) for number in range(200)]
    pauses = [trigger._first_pause() for trigger in triggers]

    by_second = Counter(int(pause) for pause in pauses)
    assert set(by_second) <= set(range(30, 60))
    assert max(by_second.values()) < 20
    assert [rebuilt(trigger)._first_pause() for trigger in triggers] == pauses


def job_probe(job: str, *, poll_seconds: float = 0.05, seconds: float = 3600) -> TrainingJobTrigger:
    return TrainingJobTrigger(
        probe="ended_training_job",
        arguments={"pipeline": "parcels", "job_name": job},
        poll_seconds=poll_seconds,
        deadline=1e9 if poll_seconds == 60 else time.time() + seconds,
    )


def test_job_is_stopped_although_every_probe_hangs(parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a service that does not answer any of many probes WHEN a user clears a task THEN its job is stopped."""
    answers, stopped, hanging = Event(), list[str](), list[str]()

    def hang(workspace: Workspace, job_name: str) -> str:
        hanging.append(job_name)
        answers.wait(60)
        return "Completed"

    async def clear_one() -> None:
        triggers = [job_probe(f"job-{number}") for number in range(40)]
        waiting = [asyncio.ensure_future(first_event(trigger)) for trigger in triggers]
        await asyncio.to_thread(wait_for, lambda: len(hanging) >= 32, what="probes that hang")
        await asyncio.wait_for(triggers[0].on_kill(), 20)
        assert stopped == ["job-0"]
        answers.set()
        await asyncio.gather(*waiting)

    monkeypatch.setattr(probes, "ended_training_job", hang)
    monkeypatch.setattr(kinds, "TRAINING", replace(kinds.TRAINING, stop=lambda _, name: stopped.append(name)))
    try:
        asyncio.run(clear_one())
    finally:
        answers.set()


CODES = (
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "TooManyRequests",
    "ExpiredToken",
    "ExpiredTokenException",
)
TUNING_JOB = "parcels-9538e9-000000000000"  # of the candidate ``tuned``
ELSEWHERE = {"work": "0" * 64, "attempt": 1, "request": "none", "since": "2013-01-01T00:00:00+00:00"}
EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:parcels-train:none"
# The first call of each probe.
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("backlog", "sqs.GetQueueAttributes", {"source": "events"}),
    ("settled", "sqs.GetQueueAttributes", {"source": "events", "settling_seconds": 120}),
    ("complete_partitions", "s3.GetObject", {"partitions": "dt=2013-03-01"}),
    ("due_partitions", "s3.ListObjectsV2", {}),
    ("lasting_partitions", "s3.ListObjectsV2", {"partitions": "dt=2013-03-01"}),
    ("ended_step", "s3.GetObject", {"step": "elsewhere", "reference": ELSEWHERE, "what": "a step"}),
    ("ended_training_job", "sagemaker.DescribeTrainingJob", {"job_name": "no-job"}),
    ("ended_training_job", "sagemaker.DescribeHyperParameterTuningJob", {"job_name": TUNING_JOB}),
    ("ended_scoring", "sagemaker.DescribeTransformJob", {"job_name": "no-job"}),
    ("ended_execution", "sfn.DescribeExecution", {"execution": EXECUTION}),
    ("settled_endpoint", "sagemaker.DescribeEndpoint", {}),
]


def test_every_probe_is_tested_for_transient_failures() -> None:
    declared = {name for name, each in vars(probes).items() if isfunction(each) and each.__module__ == probes.__name__}
    assert declared == {probe for probe, _, _ in CALLS}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("probe", "call", "arguments"), CALLS, ids=[call for _, call, _ in CALLS])
def test_transient_failure_continues_the_wait_until_its_deadline(
    parcels: Workspace,
    at_aws: Callable[[str, Happens], None],
    monkeypatch: pytest.MonkeyPatch,
    probe: str,
    call: str,
    arguments: dict[str, Any],
    code: str,
) -> None:
    """AWS reports these with HTTP 400, so by the status alone they would be refusals."""
    clock, answers = Clock(monkeypatch), list[str]()

    def fails(**_: Any) -> Any:
        answers.append(code)
        return refused_by_s3(code) if call.startswith("s3.") else refused(code)

    at_aws(call, fails)
    monkeypatch.setattr(reach, "reach", lambda *_: range(2))  # as if a step looked back: else nothing has to be read
    # Else each failed probe makes its clients again.
    monkeypatch.setattr(SharedWorkspaces, "YOUNGEST_SECONDS", 3600)

    event = event_of(ProbeTrigger(probe, {"pipeline": "parcels", **arguments}, poll_seconds=1, deadline=2.5))

    assert clock.now == pytest.approx(2.5, abs=0.01)
    assert len(answers) >= 3  # after a second at most, a second later, and at the deadline
    assert set(event) == {"error", "carried"}  # not refused: the task is retried
    assert f"({code}: " in event["error"]


def test_message_that_arrives_during_the_wait_is_found(parcels: Workspace) -> None:
    sqs, queue = parcels.aws.client("sqs"), parcels.resources.made_for("queues", "events")

    async def send_while_probing() -> Any:
        events = rebuilt(queue_probe(seconds=30)).run()
        first = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(
            sqs.send_message, QueueUrl=queue, MessageBody="{}", MessageGroupId="g", MessageDeduplicationId="probe"
        )
        return (await asyncio.wait_for(first, 30)).payload

    try:
        assert asyncio.run(send_while_probing()) == {"found": 1, "carried": {}}
    finally:
        sqs.purge_queue(QueueUrl=queue)


def test_error_that_only_a_change_repairs_ends_the_wait_at_once(parcels: Workspace) -> None:
    event = event_of(endpoint_probe(pipeline="trains", seconds=3600))
    assert event["error"].startswith("there is no pipeline 'trains'; known: ")


def test_refusal_by_aws_ends_the_wait_at_once(parcels: Workspace) -> None:
    trigger = ProbeTrigger(
        probe="ended_training_job",
        arguments={"pipeline": "parcels", "job_name": "no job has such a name"},
        poll_seconds=0.05,
        deadline=time.time() + 3600,
    )
    event = event_of(trigger)
    assert event["error"].startswith("AWS refused DescribeTrainingJob (ValidationException: ")
    assert "\n" not in event["error"]
    assert event["refused"]


def test_any_error_of_a_probe_is_reported_to_the_task(parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that raises is only restarted, or fails the task without the cause."""

    def probe(workspace: Workspace) -> None:
        raise ValueError("no such number")

    monkeypatch.setattr(probes, "settled_endpoint", probe)

    assert event_of(endpoint_probe()) == {"error": "ValueError: no such number", "refused": True, "carried": {}}


@pytest.fixture
def closed_port(one_attempt: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """An endpoint where nothing listens, which is that of the connection."""
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(endpoint, endpoint))
    return endpoint


def test_unreachable_service_is_probed_again(
    parcels: Workspace, cloud: Cloud, closed_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a service that can't be reached WHEN it is reachable before the deadline THEN the probe finds it."""
    trigger = endpoint_probe()
    troubles: list[str] = []

    class Log:
        """Records the trigger's warnings, and makes the service reachable."""

        def warning(self, message: str, *arguments: Any) -> None:
            troubles.append(message % arguments)
            back = aws_connection(cloud.endpoint_url, cloud.sagemaker_endpoint_url)
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", back)

    monkeypatch.setattr(trigger, "_log", Log())

    assert asyncio.run(first_event(trigger)) == {"found": "Deleted", "carried": {}}
    assert len(troubles) == 1
    assert closed_port in troubles[0]


def test_unreachable_service_is_named_at_the_deadline(parcels: Workspace, closed_port: str) -> None:
    error = event_of(endpoint_probe(seconds=0.2))["error"]
    assert error.startswith(f'Could not connect to the endpoint URL: "{closed_port}/"; check the connection')
