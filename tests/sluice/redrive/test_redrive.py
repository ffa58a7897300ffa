"""Quarantined and dead-lettered events are sent back in group order, once, and the counts are always true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.draining import ALL_LANDED, backlog, drain, read_shards, reader_of_kinesis, record_from_sqs, workspace_of
from tests.sluice import toy
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import rows_of
from tests.sluice.records.wrapped import aggregated
from tests.sluice.redrive.dying_redrive import BOUNDARIES
from tests.sluice.toy import EVENTS, TOY, reading

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.declaration import Conform, Ndjson, Pipeline, Sns, StandardQueue, Stream
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.partitions import format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Landing, Parts
from sluice.redrive.held import CONFLICT, DEAD_LETTER, Choice, sources_named, survey
from sluice.redrive.ledger import Ledger
from sluice.redrive.messages import with_landed_ids
from sluice.redrive.quarantined import OUTSIDE, quarantined, records_of
from sluice.redrive.sending import RedriveIncomplete, SentBack, require_complete, send_back
from sluice.sources.queue import dead_letters
from sluice.sources.stream.shards import KinesisStream
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

DAY = "2013-01-01"
UNKNOWN_MEMBER = "unit: extra_forbidden"
MESSAGES = StandardQueue("messages", event_id="id", event_time="at", group="meter", sequence="n")
STREAM = Stream("stream", event_id="id", event_time="at")
CORRECTED = f"{toy.CONTRACT.rstrip()}\n    unit: str | None = None\n"


@dataclass(frozen=True)
class World:
    """One pipeline with queues and a stream of the test's own, and the actions of a producer and of an auditor."""

    workspace: Workspace
    sqs: Any
    kinesis: Any

    @property
    def lake(self) -> Lake:
        return self.workspace.lake

    def url(self, source: str = "events") -> str:
        return self.workspace.resources.made_for("queues", source)

    def dead(self, source: str = "events") -> str:
        return self.workspace.resources.made_for("dead-letter-queues", source)

    def send(self, *bodies: str, group: str = "g", **more: Any) -> None:
        for n, body in enumerate(bodies):
            deduplication = f"{group}-{n}-{hash(body)}"
            self.sqs.send_message(
                QueueUrl=self.url(),
                MessageBody=body,
                MessageGroupId=group,
                MessageDeduplicationId=deduplication,
                **more,
            )

    def land_all(self) -> None:
        """Land and delete what waits, without the waits of a drain."""
        landing = [record_from_sqs(message, EVENTS) for message in self.take_all(self.url())]
        with ThreadPoolExecutor(1) as pool:
            Parts(Landing(self.lake, "events"), pool).land(landing)

    def conform(self) -> None:
        """Close what has landed, and conform it."""
        # Bodies without a time are in the partition of today.
        close_source(self.later(timedelta(days=2)).lake, TOY, EVENTS, ALL_LANDED)
        run_step(
            workspace_of(self.lake, self.workspace.pipeline),
            "conform",
            format_ranges(self.lake.partitions("raw/events")),
        )

    def take_all(self, url: str) -> list[dict[str, Any]]:
        """Take every message that waits off the queue, with its attributes."""
        taken: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages"):
            taken += messages
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def crash_loop(self) -> None:
        """Receive the first message until it is gone, as a reader that dies each time before it deletes."""
        received = set[str]()
        while len(received) < 2 and (
            messages := self.sqs.receive_message(QueueUrl=self.url(), MaxNumberOfMessages=1, VisibilityTimeout=0).get(
                "Messages"
            )
        ):
            received.add(messages[0]["MessageId"])

    def visible_dead(self) -> bool:
        """Return whether no dead letter is in flight."""
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.dead(), AttributeNames=["All"])["Attributes"]
        return bool(attributes["ApproximateNumberOfMessagesNotVisible"] == "0")

    def later(self, delay: timedelta) -> Workspace:
        """Return the workspace of a machine on which so much time has passed."""
        moment = datetime.now(UTC) + delay
        return replace(self.workspace, lake=Lake(self.lake.s3, self.lake.bucket, self.lake.pipeline, lambda: moment))


@pytest.fixture
def pipeline(toy_pipeline: Pipeline) -> Pipeline:
    steps = [
        Conform("conform", source="events", contract="contract:Reading"),
        Conform("conform_stream", source="stream", contract="contract:Reading"),
        *toy_pipeline.steps[1:],
    ]
    return toy.toy(sources=(EVENTS, MESSAGES, STREAM, toy.DROPS), steps=tuple(steps))


@pytest.fixture
def world(cloud: Cloud, workspace: Workspace, pipeline: Pipeline, own_name: str) -> World:
    sqs, kinesis = cloud.client("sqs"), cloud.client("kinesis")
    made = {"streams/stream": own_name}
    for source, suffix in (("events", ".fifo"), ("messages", "")):
        fifo = {"FifoQueue": "true"} if suffix else {}
        dead = sqs.create_queue(QueueName=f"{own_name}-{source}-dead{suffix}", Attributes=fifo)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        made[f"dead-letter-queues/{source}"] = dead
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
        made[f"queues/{source}"] = sqs.create_queue(
            QueueName=f"{own_name}-{source}{suffix}", Attributes={**fifo, "RedrivePolicy": policy}
        )["QueueUrl"]
    resources = replace(workspace.resources, of_sources=made)
    return World(replace(workspace, pipeline=pipeline, resources=resources), sqs, kinesis)


def at(minute: int, day: str = DAY) -> str:
    return f"{day}T07:{minute:02d}:00+00:00"


def good(group: str, numbers: Iterable[int]) -> list[str]:
    return [reading(f"{group}{n}", at(n), n) for n in numbers]


def bad(name: str, minute: int = 30, day: str = DAY) -> str:
    return reading(name, at(minute, day), unit="kWh")


def ids(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [json.loads(message["Body"])["id"] for message in messages]


# Poison


def test_poison_message_blocks_no_other_and_is_restored_in_order_once_the_contract_is_corrected(
    world: World, declare: Declare
) -> None:
    world.send(*good("a", range(3)), bad("a3", 3), *good("a", range(4, 8)), group="a")
    world.send(*good("b", range(8)), group="b")
    drain(world.sqs, world.url(), world.lake, EVENTS)
    world.conform()

    conformed = [row["event_id"] for row in rows_of(world.lake, "conform", f"dt={DAY}")]
    assert conformed == [*(f"a{n}" for n in (0, 1, 2, 4, 5, 6, 7)), *(f"b{n}" for n in range(8))]
    (held,) = survey(world.workspace, EVENTS, Choice())
    assert (held.where, held.reason, held.count, held.example, held.sent_back) == (
        "quarantine",
        UNKNOWN_MEMBER,
        1,
        "a3",
        0,
    )

    (quarantine, _) = send_back(world.workspace, EVENTS, Choice())
    assert quarantine == SentBack("events", "quarantine", sent=1)
    declare("toy", {**toy.MODULES, "contract": CORRECTED})
    world.land_all()
    world.conform()

    conformed = [row["event_id"] for row in rows_of(world.lake, "conform", f"dt={DAY}")]
    assert conformed == [*(f"a{n}" for n in range(8)), *(f"b{n}" for n in range(8))]


def test_uncorrected_event_that_is_sent_back_is_quarantined_again_as_a_new_message(world: World) -> None:
    world.send(bad("x"))
    world.land_all()
    world.conform()
    send_back(world.workspace, EVENTS, Choice(where="quarantine"))
    world.land_all()
    world.conform()

    rows = rows_of(world.lake, "conform", f"dt={DAY}", files="quarantined")
    assert [row["event_id"] for row in rows] == ["x", "x"]
    assert len({row["message_id"] for row in rows}) == 2
    (held,) = survey(world.workspace, EVENTS, Choice())
    assert (held.count, held.sent_back) == (2, 1)
    assert send_back(world.workspace, EVENTS, Choice(where="quarantine")) == [
        SentBack("events", "quarantine", sent=1, already=1)
    ]


def test_crash_loop_ends_in_the_dead_letter_queue_and_its_group_continues(world: World) -> None:
    world.send(*good("a", range(4)), group="a")
    world.crash_loop()
    world.crash_loop()

    drained = drain(world.sqs, world.url(), world.lake, EVENTS)
    assert drained.messages == 2
    assert backlog(world.sqs, world.dead()) == 2
    surveys = [survey(world.workspace, EVENTS, Choice()) for _ in range(2)]
    assert surveys[0] == surveys[1]
    ((held,), _) = surveys
    assert (held.where, held.reason, held.count, held.example) == ("dead_letters", DEAD_LETTER, 2, "a0")

    results = send_back(world.workspace, EVENTS, Choice())

    assert results == [SentBack("events", "quarantine"), SentBack("events", "dead_letters", sent=2)]
    assert backlog(world.sqs, world.dead()) == 0
    world.land_all()
    world.conform()
    rows = rows_of(world.lake, "conform", f"dt={DAY}")
    assert Counter(row["event_id"] for row in rows) == Counter(f"a{n}" for n in range(4))


# What no run conforms


@pytest.mark.parametrize("closed", [False, True])
def test_events_outside_of_start_and_end_are_shown_and_can_be_sent_back(world: World, closed: bool) -> None:
    """GIVEN a pipeline of 2013 and an event without a usable time WHEN it lands today THEN it is shown."""
    ended = replace(world.workspace.pipeline, end=datetime(2013, 12, 31, tzinfo=UTC))
    ended_world = replace(world, workspace=replace(world.workspace, pipeline=ended))
    timeless = json.dumps({"id": "timeless", "at": "yesterday", "value": 1})
    ended_world.send(timeless, *good("a", range(2)), bad("b"))
    ended_world.land_all()
    if closed:
        close_source(world.later(timedelta(days=2)).lake, TOY, EVENTS, ALL_LANDED)
    run_day = f"dt={DAY}"
    close_source(world.later(timedelta(0)).lake, TOY, EVENTS, ALL_LANDED)
    run_step(workspace_of(world.lake, ended), "conform", run_day)

    held = survey(ended_world.workspace, EVENTS, Choice())
    by_default = send_back(ended_world.workspace, EVENTS, Choice(where="quarantine"))
    sent_back = send_back(ended_world.workspace, EVENTS, Choice(where="quarantine", reason=OUTSIDE))

    assert [(each.reason, each.count, each.example) for each in held] == [
        (OUTSIDE, 1, "timeless"),
        (UNKNOWN_MEMBER, 1, "b"),
    ]
    assert by_default == [SentBack("events", "quarantine", sent=1)]
    assert sent_back == [SentBack("events", "quarantine", sent=1)]
    assert [message["Body"] for message in world.take_all(world.url())] == [bad("b"), timeless]
    (left,) = survey(ended_world.workspace, EVENTS, Choice(where="quarantine", reason=OUTSIDE))
    assert left.sent_back == 1


def test_partition_conformed_by_a_manual_run_is_not_held_back(world: World) -> None:
    """The partition is before the start, and was named in the run."""
    later = replace(world.workspace, pipeline=replace(world.workspace.pipeline, start=datetime(2014, 1, 1, tzinfo=UTC)))
    world.send(*good("a", range(2)))
    world.land_all()
    assert [each.reason for each in survey(later, EVENTS, Choice())] == [OUTSIDE]
    close_source(world.lake, TOY, EVENTS, ALL_LANDED)
    run_step(workspace_of(world.lake, later.pipeline), "conform", f"dt={DAY}")

    assert survey(later, EVENTS, Choice()) == []


# Order, fidelity, once


def dead_letter(world: World, body: str, n: int, group: str, source: str = "events") -> None:
    """Put a message on the dead-letter queue, as the redrive policy would: five crash loops a message take long."""
    order = {"MessageGroupId": group, "MessageDeduplicationId": f"{group}-{n}"} if source == "events" else {}
    world.sqs.send_message(QueueUrl=world.dead(source), MessageBody=body, **order)


def test_any_number_of_dead_letters_is_sent_back_in_the_order_of_their_group(world: World) -> None:
    for n in range(25):
        for group in "ab":
            dead_letter(world, reading(f"{group}{n}", at(n)), n, group)

    (_, result) = send_back(world.workspace, EVENTS, Choice())

    assert result == SentBack("events", "dead_letters", sent=50)
    sent_back = ids(world.take_all(world.url()))
    assert [name for name in sent_back if name[0] == "a"] == [f"a{n}" for n in range(25)]
    assert [name for name in sent_back if name[0] == "b"] == [f"b{n}" for n in range(25)]
    assert backlog(world.sqs, world.dead()) == 0


def test_quarantined_events_are_sent_back_in_the_order_of_their_group_across_partitions(world: World) -> None:
    names = [f"q{n}" for n in range(12)]
    for n, name in enumerate(names):  # neighbours of the group in four partitions
        world.send(bad(name, n, f"2013-01-0{1 + n % 4}"), group="a")
    world.land_all()
    world.conform()

    first = send_back(world.workspace, EVENTS, Choice(where="quarantine", limit=5))
    second = send_back(world.workspace, EVENTS, Choice(where="quarantine"))

    assert first == [SentBack("events", "quarantine", sent=5)]
    assert second == [SentBack("events", "quarantine", sent=7, already=5)]
    assert ids(world.take_all(world.url())) == names


def test_message_is_sent_back_as_it_was_sent(world: World) -> None:
    attributes = {
        "kind": {"DataType": "String.custom", "StringValue": "ä"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    body = '  {"id": "x",\n "value": 1e400} ☃'
    world.send(body, group="A/b-1", MessageAttributes=attributes)
    world.land_all()
    world.conform()

    send_back(world.workspace, EVENTS, Choice())

    (message,) = world.take_all(world.url())
    assert message["Body"] == body
    assert message["MessageAttributes"].items() >= attributes.items()
    assert message["Attributes"]["MessageGroupId"] == "A/b-1"


def test_message_of_several_events_is_sent_back_as_a_whole_and_once(world: World) -> None:
    """Its events land in other partitions than its first one; those that were good are duplicates."""
    lines = [reading("a", at(1)), bad("b", 2, "2013-01-02"), bad("c", 3, "2013-01-03")]
    content = json.dumps({"Type": "Notification", "Message": "\n".join(lines)})
    source = replace(EVENTS, unwrap=(Sns(), Ndjson()))
    world = replace(world, workspace=with_source(world.workspace, source))
    world.send(content)
    drain(world.sqs, world.url(), world.lake, source)
    world.conform()

    (held,) = survey(world.workspace, source, Choice(where="quarantine"))
    assert (held.count, held.sent_back) == (2, 0)
    assert send_back(world.workspace, source, Choice(where="quarantine")) == [SentBack("events", "quarantine", sent=1)]
    (held,) = survey(world.workspace, source, Choice(where="quarantine"))
    assert (held.count, held.sent_back) == (2, 2)
    assert send_back(world.workspace, source, Choice(where="quarantine")) == [
        SentBack("events", "quarantine", already=2)
    ]
    (message,) = world.take_all(world.url())
    assert message["Body"] == content


def with_source(workspace: Workspace, source: Any) -> Workspace:
    sources = (source, *workspace.pipeline.sources[1:])
    return replace(workspace, pipeline=replace(workspace.pipeline, sources=sources))


def test_packed_record_of_a_stream_is_sent_back_as_it_was(world: World) -> None:
    name = world.workspace.resources.made_for("streams", "stream")
    world.kinesis.create_stream(StreamName=name, ShardCount=1)
    wait_for(lambda: is_active(world, name), what="the stream")
    content = aggregated(("k1", reading("a", at(1)).encode()), ("k2", bad("b").encode()), ("k2", b"\xff"))
    world.kinesis.put_record(StreamName=name, PartitionKey="k1", Data=content)
    read_shards(KinesisStream(world.kinesis, name), world.lake, STREAM)
    close_source(world.later(timedelta(days=2)).lake, TOY, STREAM, ALL_LANDED)
    run_step(world.workspace, "conform_stream", format_ranges(world.lake.partitions("raw/stream")))

    (result,) = send_back(world.workspace, STREAM, Choice(where="quarantine"))

    assert result.sent == 1
    shard = {"StreamName": name, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    iterator = world.kinesis.get_shard_iterator(**shard)["ShardIterator"]
    records = world.kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [(record["PartitionKey"], record["Data"]) for record in records] == [("k1", content)] * 2


def is_active(world: World, name: str) -> bool:
    summary = world.kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    return bool(summary["StreamStatus"] == "ACTIVE")


# The id of an event whose body has none

NO_ID = '{"at": "2013-01-01T07:00:00+00:00", "value": 1}'


def raw_ids(world: World) -> list[str]:
    partitions = world.lake.partitions("raw/events")
    return [row["event_id"] for each in partitions for row in rows_of(world.lake, "raw/events", each.key)]


def test_event_without_an_id_keeps_that_of_its_first_landing(world: World) -> None:
    """Through the quarantine, and then through a move of dead letters by SQS itself, which keeps the attributes."""
    world.sqs.send_message(QueueUrl=world.url(), MessageBody=NO_ID, MessageGroupId="g", MessageDeduplicationId="first")
    world.land_all()
    world.conform()
    send_back(world.workspace, EVENTS, Choice(where="quarantine"))
    (back,) = world.take_all(world.url())
    world.sqs.send_message(
        QueueUrl=world.url(),
        MessageBody=back["Body"],
        MessageAttributes={
            name: {"DataType": value["DataType"], "StringValue": value["StringValue"]}
            for name, value in back["MessageAttributes"].items()
        },
        MessageGroupId="g",
        MessageDeduplicationId="another",
    )
    world.land_all()

    assert raw_ids(world) == ["first", "first"]


@pytest.mark.parametrize("body", [NO_ID, f"{NO_ID}\n{NO_ID}"])
def test_inner_events_without_an_id_keep_theirs(world: World, body: str) -> None:
    source = replace(EVENTS, unwrap=(Ndjson(),))
    world = replace(world, workspace=with_source(world.workspace, source))
    world.sqs.send_message(QueueUrl=world.url(), MessageBody=body, MessageGroupId="g", MessageDeduplicationId="first")
    drain(world.sqs, world.url(), world.lake, source)
    before = raw_ids(world)
    world.conform()
    send_back(world.workspace, source, Choice(where="quarantine"))
    drain(world.sqs, world.url(), world.lake, source)

    assert sorted(raw_ids(world)) == sorted(before * 2)


def test_dead_letter_that_had_landed_takes_the_id_of_its_landing(world: World) -> None:
    """SQS gives a dead letter of a FIFO queue its message id as deduplication id. The emulator does not."""
    world.sqs.send_message(QueueUrl=world.url(), MessageBody=NO_ID, MessageGroupId="g", MessageDeduplicationId="first")
    (received,) = world.take_all(world.url())
    landed = record_from_sqs(received, EVENTS)
    with ThreadPoolExecutor(1) as pool:
        Parts(Landing(world.lake, "events"), pool).land([landed])
    letter = landed._replace(event_id=landed.message_id)
    other = letter._replace(message_id="other", event_id="other")

    found = with_landed_ids(Landing(world.lake, "events"), [letter, other])

    assert found == [landed._replace(event_id="first"), other]


def test_dead_letters_of_a_standard_queue_are_sent_back(world: World) -> None:
    for n in range(12):
        dead_letter(world, json.dumps({"id": f"m{n}", "meter": "a", "n": n}), n, "a", "messages")

    assert [held.count for held in survey(world.workspace, MESSAGES, Choice())] == [12]
    results = [send_back(world.workspace, MESSAGES, Choice(where="dead_letters")) for _ in range(2)]

    assert results == [[SentBack("messages", "dead_letters", sent=12)], [SentBack("messages", "dead_letters")]]
    assert sorted(ids(world.take_all(world.url("messages")))) == sorted(f"m{n}" for n in range(12))


@dataclass(frozen=True)
class LosingReceipts(Aws):
    """Makes SQS clients that delete with a receipt that SQS does not know, for the first entry of each batch."""

    def make_client(self, service: str) -> Any:
        client = super().make_client(service)
        if service == "sqs":
            client.meta.events.register("provide-client-params.sqs.DeleteMessageBatch", self._lose)
        return client

    @staticmethod
    def _lose(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        first, *others = params["Entries"]
        return {**params, "Entries": [{**first, "ReceiptHandle": "lost"}, *others]}


@pytest.mark.usefixtures("no_wire")
def test_dead_letter_that_is_not_deleted_is_reported_and_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "HIDDEN_SECONDS", 3)
    for n in range(3):
        dead_letter(world, reading(f"a{n}", at(n)), n, f"g{n}")
    losing = replace(world.workspace, aws=LosingReceipts(world.workspace.aws.session, world.workspace.aws.endpoint))

    (_, result) = send_back(losing, EVENTS, Choice())

    assert (result.sent, result.undeleted) == (3, 1)
    with pytest.raises(RedriveIncomplete, match="1 were sent back but not deleted"):
        require_complete([result])
    wait_for(world.visible_dead, seconds=10)
    (_, again) = send_back(world.workspace, EVENTS, Choice())
    assert again == SentBack("events", "dead_letters", already=1)
    assert sorted(ids(world.take_all(world.url()))) == ["a0", "a1", "a2"]
    assert backlog(world.sqs, world.dead()) == 0


def test_message_that_is_quarantined_and_dead_lettered_is_sent_once(world: World) -> None:
    world.send(bad("x"))
    (message,) = world.sqs.receive_message(
        QueueUrl=world.url(), VisibilityTimeout=0, MessageSystemAttributeNames=["All"]
    )["Messages"]
    with ThreadPoolExecutor(1) as pool:  # a drain that dies between landing and deleting, five times
        Parts(Landing(world.lake, "events"), pool).land([record_from_sqs(message, EVENTS)])
    world.crash_loop()
    world.conform()
    assert [held.count for held in survey(world.workspace, EVENTS, Choice())] == [1, 1]

    results = send_back(world.workspace, EVENTS, Choice())

    assert results == [SentBack("events", "quarantine", sent=1), SentBack("events", "dead_letters", already=1)]
    assert ids(world.take_all(world.url())) == ["x"]
    assert backlog(world.sqs, world.dead()) == 0


def test_two_redrives_at_once_send_each_event_once(world: World) -> None:
    for n in range(40):
        world.send(bad(f"e{n}"), group=f"g{n % 5}")
    world.land_all()
    world.conform()

    with ThreadPoolExecutor(3) as pool:
        again = partial(send_back, world.workspace, EVENTS, Choice(where="quarantine"))
        results = [future.result() for future in [pool.submit(again) for _ in range(3)]]

    (last,) = send_back(world.workspace, EVENTS, Choice(where="quarantine"))
    assert sum(result.sent for (result,) in results) + last.sent == 40
    assert (last.sent + last.already, last.unknown, last.failed) == (40, 0, 0)
    assert Counter(ids(world.take_all(world.url()))) == Counter(f"e{n}" for n in range(40))


def test_event_that_the_queue_refuses_holds_back_only_its_group(world: World) -> None:
    world.send(bad("a0"), reading("a1", at(1), unit="long" * 500), bad("a2"), group="a")
    world.send(bad("b0"), group="b")
    world.land_all()
    world.conform()
    world.sqs.set_queue_attributes(QueueUrl=world.url(), Attributes={"MaximumMessageSize": "1024"})

    (refused,) = send_back(world.workspace, EVENTS, Choice(where="quarantine"))

    assert replace(refused, faults=()) == SentBack("events", "quarantine", sent=2, failed=1, behind=1)
    with pytest.raises(RedriveIncomplete, match=r"1 were not sent \(event 'a1' of group 'a': AWS refused SendMessage"):
        require_complete([refused])
    world.sqs.set_queue_attributes(QueueUrl=world.url(), Attributes={"MaximumMessageSize": "262144"})
    assert send_back(world.workspace, EVENTS, Choice(where="quarantine")) == [
        SentBack("events", "quarantine", sent=2, already=2)
    ]
    sent_back = ids(world.take_all(world.url()))
    assert [name for name in sent_back if name != "b0"] == ["a0", "a1", "a2"]
    assert len(sent_back) == 4


# Killed


SLOWER = {"announced", "deleted"}  # what they could lose, the other two could lose as well


@pytest.mark.parametrize(
    "boundary", [pytest.param(name, marks=[pytest.mark.chaos] if name in SLOWER else []) for name in BOUNDARIES]
)
def test_killed_redrive_loses_and_duplicates_nothing(cloud: Cloud, world: World, boundary: str) -> None:
    for n in range(12):
        dead_letter(world, reading(f"a{n}", at(n)), n, "a")

    killed = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.sluice.redrive.dying_redrive",
            boundary,
            json.dumps(asdict(world.workspace.resources)),
        ],
        env={**os.environ, **cloud.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    wait_for(world.visible_dead, seconds=10)
    (_, result) = send_back(world.workspace, EVENTS, Choice())

    assert (result.unknown, result.failed, result.behind) == (0, 0, 0)
    assert ids(world.take_all(world.url())) == [f"a{n}" for n in range(12)]
    assert backlog(world.sqs, world.dead()) == 0


# Unknown outcomes


def stopped(world: World, source: Any, name: str) -> None:
    """Leave an event as a redrive does that announced it and was then killed."""
    (each,) = quarantined(world.workspace, source, lambda _: True)
    assert each.event_id == name
    (record,) = records_of(world.lake, [each])
    assert Ledger(world.lake, source.name).intend(record, 1)


def test_event_that_may_have_been_sent_is_left_until_it_is_selected(world: World) -> None:
    world.send(bad("x"))
    world.land_all()
    world.conform()
    stopped(world, EVENTS, "x")
    late = world.later(timedelta(minutes=6))

    assert [held.unknown for held in survey(late, EVENTS, Choice())] == [1]
    (left,) = send_back(late, EVENTS, Choice(where="quarantine"))
    assert left == SentBack("events", "quarantine", unknown=1)
    with pytest.raises(RedriveIncomplete, match="1 may have been sent by a redrive that was stopped"):
        require_complete([left])
    assert world.take_all(world.url()) == []

    assert send_back(late, EVENTS, Choice(where="quarantine", unknown=True)) == [
        SentBack("events", "quarantine", sent=1)
    ]
    assert ids(world.take_all(world.url())) == ["x"]


def test_event_is_sent_to_a_fifo_queue_again_at_once_because_it_keeps_one_of_two(world: World) -> None:
    world.send(bad("x"))
    world.land_all()
    world.conform()
    stopped(world, EVENTS, "x")

    assert send_back(world.workspace, EVENTS, Choice(where="quarantine")) == [SentBack("events", "quarantine", sent=1)]
    assert ids(world.take_all(world.url())) == ["x"]


def test_event_whose_age_nobody_knows_is_not_sent_as_if_the_queue_still_dropped_it(world: World) -> None:
    """GIVEN a clock that went back by an hour, THEN the intention may be old."""
    world.send(bad("x"))
    world.land_all()
    world.conform()
    stopped(world, EVENTS, "x")

    (result,) = send_back(world.later(-timedelta(hours=1)), EVENTS, Choice(where="quarantine"))

    assert result == SentBack("events", "quarantine", unknown=1)


# Streams


def put_stream_quarantine(world: World, *records: tuple[str, bytes]) -> None:
    """Land and conform records of the stream."""
    name = world.workspace.resources.made_for("streams", "stream")
    world.kinesis.create_stream(StreamName=name, ShardCount=1)
    world.kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    for group, data in records:
        world.kinesis.put_record(StreamName=name, PartitionKey=group, Data=data)
    given = records_of_stream(world, len(records))
    landed = [each for record in given for each in reader_of_kinesis(STREAM)(record, "shard")]
    with ThreadPoolExecutor(1) as pool:
        partitions = Parts(Landing(world.lake, "stream"), pool).land(landed)
    close_source(world.later(timedelta(days=2)).lake, TOY, STREAM, ALL_LANDED)
    run_step(workspace_of(world.lake, world.workspace.pipeline), "conform_stream", format_ranges(partitions))


def records_of_stream(world: World, count: int) -> list[dict[str, Any]]:
    """Return all records of the stream, of which there are so many."""
    name = world.workspace.resources.made_for("streams", "stream")
    (shard,) = world.kinesis.list_shards(StreamName=name)["Shards"]
    iterator = world.kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records: list[dict[str, Any]] = world.kinesis.get_records(ShardIterator=iterator)["Records"]
    assert len(records) == count
    return records


def test_same_bytes_are_sent_back_to_a_stream_in_the_order_of_the_group(world: World) -> None:
    sent = [("a", b"\xff\x00"), ("b", b"{}"), ("a", "ä{".encode()), ("a", bad("a3").encode())]
    put_stream_quarantine(world, *sent)

    reasons = {held.reason: held.count for held in survey(world.workspace, STREAM, Choice())}
    assert reasons == {"not_json": 2, "id: missing": 1, UNKNOWN_MEMBER: 1}
    results = [send_back(world.workspace, STREAM, Choice()) for _ in range(2)]

    assert results == [[SentBack("stream", "quarantine", sent=4)], [SentBack("stream", "quarantine", already=4)]]
    sent_back = [(record["PartitionKey"], record["Data"]) for record in records_of_stream(world, 8)[4:]]
    for group in "ab":
        assert [data for key, data in sent_back if key == group] == [data for key, data in sent if key == group]


def test_event_that_may_be_under_way_is_not_sent_to_a_stream_again(world: World) -> None:
    put_stream_quarantine(world, ("a", b"{}"))
    (each,) = quarantined(world.workspace, STREAM, lambda _: True)
    stopped(world, STREAM, each.event_id)

    (now,) = send_back(world.workspace, STREAM, Choice(unknown=True))
    (later,) = send_back(world.later(timedelta(minutes=6)), STREAM, Choice(unknown=True))

    assert (now, later) == (SentBack("stream", "quarantine", unknown=1), SentBack("stream", "quarantine", sent=1))
    records_of_stream(world, 2)


def test_two_redrives_at_once_put_each_record_once(world: World) -> None:
    sent = [(f"g{n % 4}", bad(f"e{n}").encode()) for n in range(24)]
    put_stream_quarantine(world, *sent)

    with ThreadPoolExecutor(3) as pool:  # no deduplication helps here
        again = partial(send_back, world.workspace, STREAM, Choice())
        results = [future.result() for future in [pool.submit(again) for _ in range(3)]]
    (last,) = send_back(world.workspace, STREAM, Choice())

    assert sum(result.sent for (result,) in results) + last.sent == 24
    sent_back = [(record["PartitionKey"], record["Data"]) for record in records_of_stream(world, 48)[24:]]
    for group in {group for group, _ in sent}:
        assert [data for key, data in sent_back if key == group] == [data for key, data in sent if key == group]


# Choices


def test_events_are_chosen_by_reason_range_and_id(world: World) -> None:
    world.send(bad("old", day="2013-01-01"), bad("new", day="2013-01-03"), "{", '{"id": "x"}')
    world.land_all()
    world.conform()

    def chosen(**choice: Any) -> dict[str, int]:
        held = survey(world.workspace, EVENTS, Choice("quarantine", **choice))
        return {each.reason: each.count for each in held}

    assert chosen() == {UNKNOWN_MEMBER: 2, "not_json": 1, "at: missing": 1}
    assert chosen(reason="not_json") == {"not_json": 1}
    assert chosen(first="2013-01-02", last="2013-01-31") == {UNKNOWN_MEMBER: 1}
    assert chosen(last="2013-01-02") == {UNKNOWN_MEMBER: 1}
    assert chosen(ids=frozenset({"new", "x"})) == {UNKNOWN_MEMBER: 1, "at: missing": 1}
    choice = Choice("quarantine", reason=UNKNOWN_MEMBER, first="2013-01-02")
    assert send_back(world.workspace, EVENTS, choice) == [SentBack("events", "quarantine", sent=1)]
    assert ids(world.take_all(world.url())) == ["new"]


def test_conflict_is_sent_back_only_by_name(world: World) -> None:
    world.send(reading("x", at(1), 1), reading("x", at(1), 2))
    world.land_all()
    world.conform()

    assert [held.reason for held in survey(world.workspace, EVENTS, Choice())] == [CONFLICT]
    assert send_back(world.workspace, EVENTS, Choice("quarantine")) == [SentBack("events", "quarantine")]
    assert send_back(world.workspace, EVENTS, Choice("quarantine", reason=CONFLICT)) == [
        SentBack("events", "quarantine", sent=1)
    ]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"where": "here"}, "'here' is not a place"),
        ({"limit": 0}, "a limit of 0 sends nothing"),
        ({"reason": "not_json"}, "select quarantined events only"),
        ({"where": "dead_letters", "ids": frozenset("x")}, "select quarantined events only"),
    ],
)
def test_invalid_choice_is_refused_in_one_line(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(SluiceError, match=message):
        Choice(**choice)


def test_wrong_range_or_source_is_named_before_anything_is_sent(world: World) -> None:
    with pytest.raises(SluiceError, match="ends before it begins"):
        send_back(world.workspace, EVENTS, Choice("quarantine", first="2013-01-02", last="2013-01-01"))
    with pytest.raises(SluiceError, match="'soon' is not a date"):
        survey(world.workspace, EVENTS, Choice("quarantine", first="soon"))
    with pytest.raises(
        DeclarationError, match="toy has no source of events 'weather'; it has events, messages, stream"
    ):
        sources_named(world.workspace.pipeline, "weather")
