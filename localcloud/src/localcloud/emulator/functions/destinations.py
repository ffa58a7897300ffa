"""Sends what came of an asynchronous invocation to the function's destinations and to its dead-letter queue.

Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations" (the record's members) and
"Adding a dead-letter queue" (the message's attributes).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.emulator.clients import Client
from localcloud.emulator.functions.events import Event
from localcloud.emulator.functions.outcome import Outcome

SUCCESS = "Success"

_LONGEST_MESSAGE = 1024  # characters of a dead letter's ErrorMessage

logger = logging.getLogger("functions")


@dataclass(frozen=True)
class Delivered:
    """What came of an event: the condition, how often it was run, and the last outcome, if it was run."""

    condition: str
    attempts: int
    outcome: Outcome | None


def send(
    client: Client, event: Event, record: Mapping[str, Any], configured: Mapping[str, Any], delivered: Delivered
) -> None:
    """Send the record of an invocation, and a dead letter if it failed. What can't be sent is logged and dropped.

    Args:
        client: Returns clients of this cloud.
        event: The event.
        record: The function.
        configured: Its DestinationConfig.
        delivered: What came of the event.
    """
    has_succeeded = delivered.condition == SUCCESS
    destination = (configured.get("OnSuccess" if has_succeeded else "OnFailure") or {}).get("Destination")
    dead_letters = (record["config"].get("DeadLetterConfig") or {}).get("TargetArn")
    if destination:
        _send(client, destination, json.dumps(_record(event, record, delivered)), {})
    if dead_letters and not has_succeeded:
        _send(client, dead_letters, event.payload.decode(), _dead_letter_attributes(event, delivered))


def _record(event: Event, record: Mapping[str, Any], delivered: Delivered) -> dict[str, Any]:
    version = record["config"]["Version"]
    arn = ":".join(event.arn.split(":")[:7])
    shown: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{arn}:{version}",
            "condition": delivered.condition,
            "approximateInvokeCount": delivered.attempts,
        },
        "requestPayload": json.loads(event.payload),
    }
    if delivered.outcome is not None:
        error = {"functionError": "Unhandled"} if delivered.outcome.has_failed else {}
        shown["responseContext"] = {"statusCode": 200, "executedVersion": version, **error}
        shown["responsePayload"] = json.loads(delivered.outcome.payload)
    return shown


def _dead_letter_attributes(event: Event, delivered: Delivered) -> dict[str, Any]:
    message, code = delivered.condition, "429"
    if delivered.outcome is not None:
        message, code = json.loads(delivered.outcome.payload).get("errorMessage", ""), "200"
    return {
        "RequestID": {"DataType": "String", "StringValue": event.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": code},
        "ErrorMessage": {"DataType": "String", "StringValue": message[:_LONGEST_MESSAGE] or "-"},
    }


def _send(client: Client, arn: str, body: str, attributes: Mapping[str, Any]) -> None:
    _, _, service, region, _, name = arn.split(":", 5)
    try:
        if service == "sqs":
            queues = client("sqs", region)
            url = queues.get_queue_url(QueueName=name)["QueueUrl"]
            queues.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        elif service == "sns":
            client("sns", region).publish(TopicArn=arn, Message=body, MessageAttributes=attributes)
        elif service == "lambda":
            client("lambda", region).invoke(FunctionName=arn, InvocationType="Event", Payload=body)
        else:
            logger.error("no destination %s: this cloud sends to SQS, SNS and Lambda only", arn)
    except (BotoCoreError, ClientError) as error:
        logger.error("the destination %s did not get a record: %s", arn, error)
