"""Asynchronous invocations: retries, throttles, ages, destinations, dead letters, duplicates, and kills."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.functions import deploy, invoke, send
from localcloud.testing.waiting import wait_for


def make_queue(cloud: Cloud, name: str) -> str:
    url: str = cloud.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url


def arn_of(cloud: Cloud, queue: str) -> str:
    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    return str(attributes["Attributes"]["QueueArn"])


def sum_of(cloud: Cloud, function: str, metric: str) -> float:
    """Return the sum of a metric of a function in the last minutes."""
    now = datetime.now(UTC)
    found = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))


class Mailbox:
    """All messages that a queue has got so far; each is received and deleted once."""

    def __init__(self, cloud: Cloud, url: str) -> None:
        self._sqs, self._url = cloud.client("sqs"), url
        self.messages: list[Any] = []

    def has(self, count: int) -> bool:
        options = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        for message in self._sqs.receive_message(QueueUrl=self._url, **options).get("Messages", []):
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            self.messages.append(message)
        return len(self.messages) >= count

    def wait(self, count: int) -> list[Any]:
        wait_for(lambda: self.has(count), what=f"{count} messages in {self._url}")
        return self.messages


def test_an_event_is_run_once_and_its_success_is_sent(cloud: Cloud, name: str) -> None:
    arn = deploy(cloud, name)
    notes, successes = make_queue(cloud, f"{name}-notes"), make_queue(cloud, f"{name}-ok")
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn_of(cloud, successes)}}
    )
    event = {"do": "note", "queue": notes}
    request_id = send(cloud, name, event)
    record = json.loads(Mailbox(cloud, successes).wait(1)[0]["Body"])
    note = Mailbox(cloud, notes).wait(1)[0]["Body"]
    assert note == request_id
    assert record.pop("timestamp").endswith("Z")
    assert record.pop("responsePayload")["calls"] == 1
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{arn}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
    }


@pytest.mark.parametrize("retries", [0, 2])
def test_an_error_is_tried_again_then_sent_to_both(cloud: Cloud, name: str, retries: int) -> None:
    notes, failures, dead = (make_queue(cloud, f"{name}-{kind}") for kind in ("notes", "failed", "dead"))
    arn = deploy(cloud, name, DeadLetterConfig={"TargetArn": arn_of(cloud, dead)})
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=retries,
        DestinationConfig={"OnFailure": {"Destination": arn_of(cloud, failures)}},
    )
    event = {"do": "note", "queue": notes, "fails": True}
    send(cloud, name, event)
    record = json.loads(Mailbox(cloud, failures).wait(1)[0]["Body"])
    ids = {message["Body"] for message in Mailbox(cloud, notes).wait(retries + 1)}
    assert record["requestContext"] == {
        "requestId": ids.pop(),
        "functionArn": f"{arn}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": retries + 1,
    }
    assert not ids
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (record["responsePayload"]["errorType"], record["requestPayload"]) == ("ValueError", event)
    assert sum_of(cloud, name, "Errors") == sum_of(cloud, name, "Invocations") == retries + 1
    letter = Mailbox(cloud, dead).wait(1)[0]
    assert json.loads(letter["Body"]) == event
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": record["requestContext"]["requestId"],
        "ErrorCode": "200",
        "ErrorMessage": "as asked",
    }


def test_a_topic_is_a_destination(cloud: Cloud, name: str) -> None:
    deploy(cloud, name)
    queue = make_queue(cloud, name)
    sns = cloud.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn_of(cloud, queue))
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": topic}}
    )
    send(cloud, name, {"do": "leave", "code": 1})
    notification = json.loads(Mailbox(cloud, queue).wait(1)[0]["Body"])
    assert json.loads(notification["Message"])["responsePayload"]["errorType"] == "Runtime.ExitError"


def test_throttled_events_wait_and_synchronous_calls_are_refused(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, Timeout=30)
    functions, notes = cloud.client("lambda"), make_queue(cloud, name)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    mailbox = Mailbox(cloud, notes)
    holder = threading.Thread(target=invoke, args=(cloud, name, {"do": "note", "queue": notes, "seconds": 3}))
    holder.start()
    mailbox.wait(1)
    with pytest.raises(ClientError) as refused:
        functions.invoke(FunctionName=name, Payload=b"{}")
    answer = refused.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    for _ in range(3):
        send(cloud, name, {"do": "note", "queue": notes})
    assert not mailbox.has(2)
    holder.join(30)
    assert sum_of(cloud, name, "Throttles") >= 2
    assert len({message["Body"] for message in mailbox.wait(4)}) == 4


def test_a_function_without_concurrency_fails_its_events_at_once(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, Timeout=120)
    functions, notes, failures = cloud.client("lambda"), make_queue(cloud, f"{name}-n"), make_queue(cloud, name)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    functions.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn_of(cloud, failures)}}
    )
    send(cloud, name, {"do": "note", "queue": notes})
    record = json.loads(Mailbox(cloud, failures).wait(1)[0]["Body"])
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert not Mailbox(cloud, notes).has(1)


def test_a_function_may_get_its_events_twice(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, Tags={"localcloud:deliver-events": "twice"})
    notes = make_queue(cloud, name)
    send(cloud, name, {"do": "note", "queue": notes})
    first, second = Mailbox(cloud, notes).wait(2)
    assert first["Body"] == second["Body"]


def test_a_notification_invokes_a_function(cloud: Cloud, name: str) -> None:
    arn = deploy(cloud, name)
    successes = make_queue(cloud, name)
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn_of(cloud, successes)}}
    )
    sns = cloud.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    record = json.loads(Mailbox(cloud, successes).wait(1)[0]["Body"])
    assert record["requestPayload"]["Records"][0]["Sns"]["Message"] == "hello"


@pytest.mark.chaos
def test_an_accepted_event_survives_a_kill_and_may_be_too_old(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    deploy(cloud, "killed", Timeout=60)
    notes, failures = make_queue(cloud, "notes"), make_queue(cloud, "failures")
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName="killed",
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": arn_of(cloud, failures)}},
    )
    send(cloud, "killed", {"do": "note", "queue": notes, "seconds": 30})
    mailbox = Mailbox(cloud, notes)
    mailbox.wait(1)
    kill_with_functions(localcloud)
    again = Mailbox(localcloud.up(), notes).wait(1)
    assert again[0]["Body"] == mailbox.messages[0]["Body"]

    kill_with_functions(localcloud)
    with closing(sqlite3.connect(localcloud.state / "emulator/state/events.sqlite")) as file, file:
        file.execute("UPDATE events SET accepted = accepted - 60")
    record = json.loads(Mailbox(localcloud.up(), failures).wait(1)[0]["Body"])
    assert record["requestContext"]["condition"] == "EventAgeExceeded"


def kill_with_functions(localcloud: LocalCloud) -> None:
    """Kill the emulator, and see its functions end too."""
    functions = localcloud.processes()["emulator"].children(recursive=True)
    assert functions
    localcloud.kill("emulator")
    ended = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    wait_for(
        lambda: all(not each.is_running() or each.status() in ended for each in functions),
        what="end of the functions' processes",
    )
