"""What Sluice relies on in SNS: completion events that reach queues, filtered and once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.contract.conftest import MakeQueue, queue_arn

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef


def receive(sqs: SQSClient, url: str, wait: int = 5) -> list[MessageTypeDef]:
    return sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=wait,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    ).get("Messages", [])


def subscribe(sns: SNSClient, sqs: SQSClient, topic: str, url: str, **attributes: str) -> None:
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn(sqs, url), Attributes=attributes)


def test_raw_delivery_returns_the_message_and_its_attributes(
    sns: SNSClient, sqs: SQSClient, make_queue: MakeQueue, name: str
) -> None:
    topic = sns.create_topic(Name=name)["TopicArn"]
    url = make_queue(fifo=False)
    subscribe(sns, sqs, topic, url, RawMessageDelivery="true")
    sns.publish(
        TopicArn=topic,
        Message='{"rows": 3}',
        MessageAttributes={"stage": {"DataType": "String", "StringValue": "features"}},
    )
    [message] = receive(sqs, url)
    assert message["Body"] == '{"rows": 3}'
    assert message["MessageAttributes"]["stage"]["StringValue"] == "features"


def test_without_raw_delivery_the_message_arrives_in_an_envelope(
    sns: SNSClient, sqs: SQSClient, make_queue: MakeQueue, name: str
) -> None:
    topic = sns.create_topic(Name=name)["TopicArn"]
    url = make_queue(fifo=False)
    subscribe(sns, sqs, topic, url)
    sns.publish(TopicArn=topic, Message="done")
    [message] = receive(sqs, url)
    envelope = json.loads(message["Body"])
    assert (envelope["Type"], envelope["Message"], envelope["TopicArn"]) == ("Notification", "done", topic)


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_filter_policy_delivers_only_matching_messages(
    sns: SNSClient, sqs: SQSClient, make_queue: MakeQueue, name: str, fifo: bool
) -> None:
    suffix, kind = (".fifo", {"FifoTopic": "true"}) if fifo else ("", {})
    topic = sns.create_topic(Name=name + suffix, Attributes=kind)["TopicArn"]
    url = make_queue(fifo=fifo)
    subscribe(sns, sqs, topic, url, RawMessageDelivery="true", FilterPolicy=json.dumps({"stage": ["train", "deploy"]}))
    for stage in ("conform", "train", "features", "deploy"):
        order = {"MessageGroupId": "flights", "MessageDeduplicationId": stage} if fifo else {}
        sns.publish(
            TopicArn=topic,
            Message=stage,
            MessageAttributes={"stage": {"DataType": "String", "StringValue": stage}},
            **order,
        )
    received = [message["Body"] for message in receive(sqs, url)]
    while len(received) < 2 and (more := receive(sqs, url)):
        received += [message["Body"] for message in more]
    assert sorted(received) == ["deploy", "train"]
    assert receive(sqs, url, wait=1) == []


def test_fifo_topic_publishes_an_id_once_and_in_order(
    sns: SNSClient, sqs: SQSClient, make_queue: MakeQueue, name: str
) -> None:
    topic = sns.create_topic(Name=f"{name}.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    url = make_queue()
    subscribe(sns, sqs, topic, url, RawMessageDelivery="true")
    for event, text in (("1", "one"), ("2", "two"), ("1", "one again"), ("3", "three")):
        sns.publish(TopicArn=topic, Message=text, MessageGroupId="flights", MessageDeduplicationId=event)
    messages = receive(sqs, url)
    assert [message["Body"] for message in messages] == ["one", "two", "three"]
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"flights"}
