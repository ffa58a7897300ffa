"""A completion topic of a test's own, and what its subscriber has received."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sluice.workspace import Workspace

Received = list[tuple[dict[str, Any], dict[str, str]]]


def with_topic(workspace: Workspace, name: str) -> Workspace:
    """Return the workspace with another FIFO topic: the emulator's CloudFormation makes one that is not FIFO."""
    made = workspace.aws.client("sns").create_topic(Name=f"{name}.fifo", Attributes={"FifoTopic": "true"})
    return replace(workspace, resources=replace(workspace.resources, topic_arn=made["TopicArn"]))


def subscribed(workspace: Workspace, sqs: Any, queue: str) -> Callable[[], Received]:
    """Return what returns all that a subscriber has received so far: the events, and their message attributes."""
    workspace.aws.client("sns").subscribe(
        TopicArn=workspace.resources.topic_arn,
        Protocol="sqs",
        Endpoint=sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    received: Received = []

    def receive() -> Received:
        while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for each in messages:
                attributes = {name: value["StringValue"] for name, value in each["MessageAttributes"].items()}
                received.append((json.loads(each["Body"]), attributes))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=each["ReceiptHandle"])
        return received

    return receive
