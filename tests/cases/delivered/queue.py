"""Sends the messages of a case to a queue, drains it, closes and conforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from sluice.lake.look import Look
from sluice.landing.closing import Evidence, close_source
from sluice.landing.parts import Limits
from sluice.sources.connecting import connect_events
from sluice.sources.contract import EventConnector
from sluice.sources.queue.drain import drain
from sluice.sources.queue.messages import Message, MessageQueue
from sluice.sources.queue.records import delivery_of
from sluice.workspace import Workspace
from tests.cases.case import Case
from tests.cases.delivered import scripted_queue
from tests.cases.delivered.declared import contract_module, pipeline_of, source_of
from tests.cases.delivered.outcome import RAW, Outcome
from tests.sluice import toy


@dataclass(frozen=True)
class DatedQueue(MessageQueue):
    """A queue whose messages have the bodies of the case, and were sent when it says, by their message ids."""

    sent_at: dict[str, datetime] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    received: dict[str, Message] = field(default_factory=dict)

    def receive(self, most: int, wait_seconds: int, hidden_seconds: int | None = None) -> Sequence[Message]:
        found = [self._dated(message) for message in super().receive(most, wait_seconds, hidden_seconds)]
        self.received.update((message["MessageId"], message) for message in found)
        return found

    def _dated(self, message: Message) -> Message:
        stamp = str(round(self.sent_at[message["MessageId"]].timestamp() * 1000))
        attributes = {**message["Attributes"], "SentTimestamp": stamp}
        return {**message, "Body": self.bodies[message["MessageId"]], "Attributes": attributes}


def check(case: Case, request: pytest.FixtureRequest) -> None:
    if case.given.get("scripted"):
        scripted_queue.check(case, request)
        return
    source = source_of(case.given, _put_payloads(case, request))
    workspace = workspace_of(case.given, source, request)
    queue = _filled(case, request)
    numbers = {message_id: number for number, message_id in enumerate(queue.sent_at, 1)}
    connector: Any = connect_events(workspace, source)

    drained = drain(queue, connector.read, connector.landing, Limits())

    assert drained.messages == len(numbers)
    outcome = Outcome(workspace, source, numbers)
    if "close" in case.right:
        _check_closing(case, outcome)
    outcome.close_and_conform()
    outcome.check(case.right)
    stored = [workspace.lake.get(key) for key, _, _ in workspace.lake.objects("toy/payloads/")]
    assert [case.read(name) for name in case.right.get("kept", ())] == stored
    if "event_ids" in case.right:
        _check_ids_of_another_delivery(connector, queue, outcome)


def workspace_of(given: Mapping[str, Any], source: Any, request: pytest.FixtureRequest) -> Workspace:
    """Return the workspace of a pipeline that declares the source and the contract of a case."""
    request.getfixturevalue("short_poll")
    workspace: Workspace = request.getfixturevalue("workspace")
    modules = {**toy.MODULES, "contract": contract_module(given["contract"])} if "contract" in given else toy.MODULES
    request.getfixturevalue("declare")("toy", modules)
    pipeline = pipeline_of(given, source)
    return replace(workspace, pipeline=pipeline, lake=replace(workspace.lake, calendar=pipeline.calendar))


def _put_payloads(case: Case, request: pytest.FixtureRequest) -> str:
    """Put the payloads to which messages point, and return their bucket."""
    s3, bucket = request.getfixturevalue("cloud").client("s3"), "none"
    for payload in case.given.get("payloads", ()):
        bucket = payload["bucket"]
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=payload["key"], Body=case.read(payload["file"]))
    return bucket


def _filled(case: Case, request: pytest.FixtureRequest) -> DatedQueue:
    """Return a queue with the messages, in their order."""
    sqs, name = request.getfixturevalue("sqs"), request.getfixturevalue("own_name")
    is_fifo = case.given["source"]["type"] == "fifo"
    url = sqs.create_queue(
        QueueName=f"{name}-case.fifo" if is_fifo else f"{name}-case",
        Attributes={"FifoQueue": "true"} if is_fifo else {},
    )["QueueUrl"]
    queue = DatedQueue(sqs, url)
    for message in case.given["messages"]:
        order = {"MessageGroupId": message["group"], "MessageDeduplicationId": message["dedup_id"]} if is_fifo else {}
        body = case.read(message["body_file"]).decode()
        sent = sqs.send_message(
            QueueUrl=url,
            MessageBody=body or "empty",  # SQS takes no empty body
            MessageAttributes=message.get("attributes", {}),
            **order,
        )
        queue.bodies[sent["MessageId"]] = body
        queue.sent_at[sent["MessageId"]] = datetime.fromisoformat(message["sent_at"])
    return queue


def _check_closing(case: Case, outcome: Outcome) -> None:
    """While a message is in flight, nothing proves that a partition is complete."""
    now = datetime.fromisoformat(case.given["clock"])
    lake, pipeline = replace(outcome.lake, now=lambda: now), outcome.workspace.pipeline
    close_source(lake, pipeline, outcome.source, Evidence(landed_until=None))
    manifests = Look(outcome.lake).manifests(RAW)
    highest = max(each.last_event_time for each in manifests if each.last_event_time)
    assert highest == datetime.fromisoformat(case.right["close"]["watermark_from"])
    ends = {each.time_partition(lake.calendar).end for each in manifests if each.state == "closed"}
    assert all(end <= highest for end in ends)


def _check_ids_of_another_delivery(connector: EventConnector[Any], queue: DatedQueue, outcome: Outcome) -> None:
    again = {each.event_id for message in queue.received.values() for each in connector.records(delivery_of(message))}
    assert outcome.event_ids() <= again
