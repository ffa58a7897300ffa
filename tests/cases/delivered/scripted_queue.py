"""Plays the scripts of cases in which messages of a queue are received by several readers, or die."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from sluice.declaration import FifoQueue
from sluice.lake.partitions import format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Limits
from sluice.redrive.held import Choice
from sluice.redrive.sending import send_back
from sluice.sources.connecting import connect_events
from sluice.sources.queue.records import delivery_of
from sluice.steps.runner import run_step
from sluice.workspace import Workspace
from tests.cases.case import Case
from tests.cases.delivered.declared import SOURCE, pipeline_of
from tests.draining import ALL_LANDED
from tests.sluice.lake_contents import rows_of

_RECEIVES = 5
AT = datetime(2021, 5, 4, 10, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A pipeline with a queue and a dead-letter queue of the case's own."""

    workspace: Workspace
    source: Any
    sqs: Any

    @property
    def url(self) -> str:
        return self.workspace.resources.made_for("queues", SOURCE)

    @property
    def lake(self) -> Lake:
        return self.workspace.lake

    @property
    def connector(self) -> Any:
        return connect_events(self.workspace, self.source)

    def send(self, body: str, group: str, name: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=name)

    def receive(self, **options: Any) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.sqs.receive_message(
            QueueUrl=self.url, MessageSystemAttributeNames=["All"], **options
        ).get("Messages", [])
        return found

    def drain(self) -> Any:
        return self.connector.drain("lane 0", Limits(), lambda _: None, Event())

    def raw(self) -> list[dict[str, Any]]:
        dataset = f"raw/{SOURCE}"
        partitions = self.lake.partitions(dataset)
        return [row for each in partitions for row in rows_of(self.lake, dataset, each.key)]


def check(case: Case, request: pytest.FixtureRequest) -> None:
    if "actions" in case.given:
        _check_identity(case, request)
    else:
        _check_visibility(case, request)


def world_of(case: Case, request: pytest.FixtureRequest) -> World:
    request.getfixturevalue("short_poll")
    sqs, name = request.getfixturevalue("sqs"), request.getfixturevalue("own_name")
    fifo = {"FifoQueue": "true"}
    dead = sqs.create_queue(QueueName=f"{name}-dead.fifo", Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": _RECEIVES})
    options = {name: str(value) for name, value in case.given.get("queue", {}).items()}
    url = sqs.create_queue(QueueName=f"{name}-case.fifo", Attributes={**fifo, "RedrivePolicy": policy, **options})
    source = FifoQueue(SOURCE, event_id="id", event_time="at")
    workspace = request.getfixturevalue("workspace")
    of_sources = {f"queues/{SOURCE}": url["QueueUrl"], f"dead-letter-queues/{SOURCE}": dead}
    resources = replace(workspace.resources, of_sources=of_sources)
    pipeline = pipeline_of(case.given, source, contract="contract:Reading")
    return World(replace(workspace, pipeline=pipeline, resources=resources), source, sqs)


def _check_identity(case: Case, request: pytest.FixtureRequest) -> None:
    """Readers die of each message until it is a dead letter; it is sent back, and drained."""
    world = world_of(case, request)
    before = []
    for message in case.given["messages_plan"]:
        world.send(case.read(message["body_file"]).decode(), message["group"], message["dedup_id"])
        for _ in range(_RECEIVES):
            (received,) = world.receive(VisibilityTimeout=0)
        before += [each.event_id for each in world.connector.records(delivery_of(received))]
        assert world.receive(VisibilityTimeout=0) == []

    results = send_back(world.workspace, world.source, Choice(where="dead_letters"))
    world.drain()

    assert sum(each.sent for each in results) == case.right["redriven"]
    raw = world.raw()
    assert len(raw) == case.right["raw_records_of_it"] * len(before)
    assert sorted(row["event_id"] for row in raw) == sorted(before)


def _check_visibility(case: Case, request: pytest.FixtureRequest) -> None:
    """Another reader holds a message. One drain lands what it can, with a put that lasts longer than the time-out."""
    world = world_of(case, request)
    taken: list[Mapping[str, Any]] = []
    for each in case.given["messages_plan"]:
        world.send(body_of(each["id"]), each["group"], each["id"])
        if "held_by_another_reader_s" in each:
            taken += world.receive(VisibilityTimeout=600, MaxNumberOfMessages=1)
    others: list[int] = []

    class SlowLake(Lake):
        def _put(self, key: str, body: bytes, condition: Mapping[str, Any]) -> str:
            ends = time.monotonic() + 1.25 * case.given["queue"]["VisibilityTimeout"]
            while "/raw/" in key and time.monotonic() < ends:  # before, nothing is held
                others.append(world.drain().messages)
            return super()._put(key, body, condition)

    lake = world.lake
    slow = replace(world.workspace, lake=SlowLake(lake.s3, lake.bucket, lake.pipeline))

    drained = World(slow, world.source, world.sqs).drain()

    assert (drained.messages, drained.redelivered, set(others)) == (len(case.right["before_15_s"]), 0, {0})
    assert sorted(row["event_id"] for row in world.raw()) == case.right["before_15_s"]
    for each in taken:
        world.sqs.change_message_visibility(
            QueueUrl=world.url, ReceiptHandle=each["ReceiptHandle"], VisibilityTimeout=0
        )
    while world.connector.backlog():
        world.drain()
    assert rows_in_order(world.workspace, world.source) == case.right["rows_in_order"]


def body_of(name: str) -> str:
    """Return the body of an event of the scripts."""
    return json.dumps({"id": name, "at": AT.isoformat(), "value": 1})


def rows_in_order(workspace: Workspace, source: Any) -> dict[str, list[str]]:
    """Close and conform the day of the events, and return the ids of each group in the order of its rows."""
    lake, dataset = workspace.lake, f"raw/{source.name}"
    close_source(replace(lake, now=lambda: AT + timedelta(days=3)), workspace.pipeline, source, ALL_LANDED)
    run_step(workspace, "conform", format_ranges(lake.partitions(dataset)))
    rows: dict[str, list[str]] = {}
    for row in rows_of(lake, "conform", f"dt={AT:%Y-%m-%d}"):
        rows.setdefault(row["group"], []).append(row["event_id"])
    return rows
