"""What Sluice relies on in SQS FIFO queues."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.contract.conftest import MakeQueue, queue_arn

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef


def send(sqs: SQSClient, url: str, body: str, group: str = "g", deduplication_id: str | None = None) -> str:
    sent = sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=deduplication_id or body
    )
    return sent["SequenceNumber"]


def receive(sqs: SQSClient, url: str, count: int = 1, wait: int = 0) -> list[MessageTypeDef]:
    return sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=count, WaitTimeSeconds=wait, MessageSystemAttributeNames=["All"]
    ).get("Messages", [])


def bodies(messages: list[MessageTypeDef]) -> list[str]:
    return [message["Body"] for message in messages]


def test_groups_later_messages_wait_while_one_is_in_flight(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    for body in ("a1", "a2"):
        send(sqs, url, body, group="a")
    first = receive(sqs, url)
    assert bodies(first) == ["a1"]
    assert receive(sqs, url) == []
    send(sqs, url, "b1", group="b")
    assert bodies(receive(sqs, url)) == ["b1"], "another group isn't blocked"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert bodies(receive(sqs, url)) == ["a2"]


def test_batch_returns_a_group_in_the_order_sent(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    sent = [f"{number:02d}" for number in range(10)]
    for body in sent:
        send(sqs, url, body)
    assert bodies(receive(sqs, url, count=10)) == sent


def test_id_sent_twice_is_delivered_once(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    first = send(sqs, url, "original", deduplication_id="x")
    assert send(sqs, url, "copy", deduplication_id="x") == first
    assert bodies(receive(sqs, url, count=10)) == ["original"]


def test_id_stays_known_after_its_message_was_deleted(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    send(sqs, url, "original", deduplication_id="x")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=receive(sqs, url)[0]["ReceiptHandle"])
    send(sqs, url, "copy", deduplication_id="x")
    assert receive(sqs, url) == []


def test_sequence_numbers_grow_within_a_group(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    sent = [send(sqs, url, f"{number}") for number in range(12)]
    numbers = [int(each) for each in sent]
    assert numbers == sorted(set(numbers))
    received = receive(sqs, url, count=10)
    assert [message["Attributes"]["SequenceNumber"] for message in received] == sent[:10]


def test_envelope_of_a_message_is_complete(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    sqs.send_message(
        QueueUrl=url,
        MessageBody="{}",
        MessageGroupId="plane",
        MessageDeduplicationId="1",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "departure"}},
    )
    [message] = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert message["Attributes"]["MessageGroupId"] == "plane"
    assert message["Attributes"]["MessageDeduplicationId"] == "1"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert int(message["Attributes"]["SentTimestamp"]) > 1_600_000_000_000, "milliseconds since the epoch"
    assert message["MessageAttributes"]["kind"]["StringValue"] == "departure"


def test_message_received_too_often_goes_to_the_fifo_dead_letter_queue(sqs: SQSClient, make_queue: MakeQueue) -> None:
    dead = make_queue("dead")
    redrive = {"deadLetterTargetArn": queue_arn(sqs, dead), "maxReceiveCount": 2}
    url = make_queue("live", RedrivePolicy=json.dumps(redrive), VisibilityTimeout="0")
    send(sqs, url, "poison")
    send(sqs, url, "good")
    assert bodies(receive(sqs, url)) == ["poison"]
    assert bodies(receive(sqs, url)) == ["poison"]
    assert bodies(receive(sqs, url)) == ["good"], "the group continues without the poison message"
    [moved] = receive(sqs, dead, wait=5)
    assert moved["Body"] == "poison"
    assert moved["Attributes"]["MessageGroupId"] == "g"


def test_visibility_zero_makes_a_message_available_again(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    send(sqs, url, "again")
    [message] = receive(sqs, url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    [again] = receive(sqs, url)
    assert again["MessageId"] == message["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def test_batch_delete_reports_each_entry(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    send(sqs, url, "one")
    [message] = receive(sqs, url)
    answer = sqs.delete_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "ReceiptHandle": message["ReceiptHandle"]},
            {"Id": "bad", "ReceiptHandle": "not-a-handle"},
        ],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]


def test_counts_distinguish_waiting_messages_from_those_in_flight(sqs: SQSClient, make_queue: MakeQueue) -> None:
    url = make_queue()
    for group in ("a", "b", "c"):
        send(sqs, url, group, group=group)
    receive(sqs, url)
    counts = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    )["Attributes"]
    assert counts == {"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "1"}


def test_missing_queue_has_an_error_of_its_own(sqs: SQSClient) -> None:
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="does-not-exist.fifo")


@pytest.mark.parametrize("happens", ["deleted", "returned"])
def test_long_poll_ends_when_its_group_is_free(sqs: SQSClient, make_queue: MakeQueue, happens: str) -> None:
    """`make bench` measures how soon: a hot group drains no faster than that."""
    url = make_queue()
    for number in range(2):
        send(sqs, url, str(number))
    (held,) = receive(sqs, url)
    with ThreadPoolExecutor(1) as waiter:
        waiting = waiter.submit(receive, sqs, url, 1, 20)
        if happens == "deleted":
            sqs.delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
        else:
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)

        assert bodies(waiting.result(10)) == ["1" if happens == "deleted" else "0"]
