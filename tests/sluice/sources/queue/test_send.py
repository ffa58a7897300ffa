"""A sender keeps each group's order, whatever the queue refuses."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.sending.lanes import Event, SendFailed, send_events
from sluice.sources.queue.messages import MessageQueue
from sluice.sources.queue.send import QueueSender, encoded

START = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def queue(cloud: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    sqs = cloud.client("sqs")
    name = f"{request.node.originalname.replace('_', '-')[:60]}.fifo"
    url: str = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def stream(events: int, groups: int) -> list[Event]:
    return [
        Event(
            id=f"event-{n}",
            group=f"group-{n % groups}",
            event_time=START + timedelta(minutes=n),
            body=json.dumps({"id": f"event-{n}", "place": n}),
        )
        for n in range(events)
    ]


def received(sqs: Any, queue_url: str) -> list[dict[str, Any]]:
    """Return everything on the queue, by sequence number."""
    messages: list[dict[str, Any]] = []
    while batch := sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    ).get("Messages"):
        messages += batch
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(batch)]
        sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    return sorted(messages, key=lambda message: int(message["Attributes"]["SequenceNumber"]))


def bodies_by_group(messages: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    by_group = defaultdict(list)
    for message in messages:
        by_group[message["Attributes"]["MessageGroupId"]].append(message["Body"])
    return by_group


def expected_by_group(events: Sequence[Event]) -> dict[str, list[str]]:
    by_group = defaultdict(list)
    for event in events:
        by_group[event.group].append(event.body)
    return by_group


class Refusals:
    """A client whose queue refuses entries: they are not delivered, and the answer reports it."""

    def __init__(self, sqs: Any, refuse: Any, *, sender_fault: bool = False) -> None:
        self.sqs, self.refuse, self.sender_fault = sqs, refuse, sender_fault
        self.refused: list[str] = []
        self.nowhere = sqs.create_queue(QueueName="nowhere.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        sqs.meta.events.register("provide-client-params.sqs.SendMessageBatch", self._take_out)
        sqs.meta.events.register("after-call.sqs.SendMessageBatch", self._report)

    def _take_out(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
        out = [entry for entry in params["Entries"] if self.refuse(entry)]
        context["out"] = out
        self.refused += [entry["MessageDeduplicationId"] for entry in out]
        if len(out) == len(params["Entries"]):
            # SQS refuses a call without entries: these are sent to a queue that no test reads.
            return {**params, "QueueUrl": self.nowhere}
        return {**params, "Entries": [entry for entry in params["Entries"] if entry not in out]}

    def _report(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        failures = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": self.sender_fault} for entry in context["out"]
        ]
        parsed["Failed"] = [*parsed.get("Failed", []), *failures]


def test_every_event_arrives_once_and_each_group_in_order(cloud: Any, queue: str) -> None:
    events = stream(500, groups=37)
    counts: list[int] = []

    sender = QueueSender(MessageQueue(cloud.client("sqs"), queue))
    result = send_events(iter(events), sender, lanes=4, on_sent=counts.append)

    assert bodies_by_group(received(cloud.client("sqs"), queue)) == expected_by_group(events)
    assert result.sent == 500
    assert sum(counts) == 500
    # 37 groups over four lanes fill most batches; without batches there would be 500 calls.
    assert result.batches < 120


def test_events_that_the_queue_refuses_at_first_keep_their_place(cloud: Any, queue: str) -> None:
    events = stream(200, groups=13)
    sqs, seen = cloud.client("sqs"), set[str]()

    def first_time(entry: dict[str, Any]) -> bool:
        name = entry["MessageDeduplicationId"]
        new = name not in seen
        seen.add(name)
        return new and int(name.removeprefix("event-")) % 3 == 0

    refusals = Refusals(sqs, first_time)

    result = send_events(events, QueueSender(MessageQueue(sqs, queue)), lanes=3)

    assert len(refusals.refused) == 67
    assert result.sent == 200
    assert bodies_by_group(received(cloud.client("sqs"), queue)) == expected_by_group(events)


def test_finally_refused_event_ends_the_send_and_nothing_of_its_group_follows(cloud: Any, queue: str) -> None:
    events = stream(400, groups=13)
    sqs = cloud.client("sqs")
    refusals = Refusals(sqs, lambda entry: entry["MessageDeduplicationId"] == "event-40", sender_fault=True)

    with pytest.raises(SendFailed, match=r"refused event 'event-40' of group 'group-1' \(InternalError"):
        send_events(events, QueueSender(MessageQueue(sqs, queue)), lanes=3)

    assert refusals.refused == ["event-40"]
    places = [json.loads(body)["place"] for body in bodies_by_group(received(cloud.client("sqs"), queue))["group-1"]]
    assert places == [1, 14, 27]


def test_send_gives_up_after_five_refusals(cloud: Any, queue: str) -> None:
    sqs = cloud.client("sqs")
    refusals = Refusals(sqs, lambda entry: entry["MessageDeduplicationId"] == "event-1")

    with pytest.raises(SendFailed, match=r"refused event 'event-1' .*the fault is the queue's, and send all again"):
        send_events(stream(2, groups=2), QueueSender(MessageQueue(sqs, queue)), lanes=1)

    assert refusals.refused == ["event-1"] * 5


def test_ids_and_groups_of_any_characters_arrive(cloud: Any, queue: str) -> None:
    event = Event(id="façade " * 40, group="Zürich HB/Gleis 3", event_time=START, body='{"ü": 1}')

    assert send_events([event], QueueSender(MessageQueue(cloud.client("sqs"), queue))).sent == 1

    (message,) = received(cloud.client("sqs"), queue)
    assert message["Attributes"]["MessageGroupId"] == "Z%C3%BCrich%20HB/Gleis%203"
    assert message["Attributes"]["MessageDeduplicationId"].startswith("sha256:")
    assert message["Body"] == '{"ü": 1}'


def test_encoded_names_are_readable_where_possible_and_unique() -> None:
    assert encoded("UK-1545_EWR!\"#$&'()*+,-./:;<=>?@[\\]^`{|}~") == "UK-1545_EWR!\"#$&'()*+,-./:;<=>?@[\\]^`{|}~"
    assert encoded("a b") == "a%20b"
    assert encoded("a%20b") == "a%2520b"
    assert len(encoded("x" * 128)) == 128
    assert encoded("x" * 129) != encoded("x" * 130)
    assert len(encoded("x" * 129)) == 71


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event("", "g", START, "{}"), "neither may be empty"),
        (Event("e", "", START, "{}"), "neither may be empty"),
        (Event("e", "g", START, ""), "event 'e': body has 0 bytes; SQS accepts 1 byte to 1 MiB"),
        (Event("e", "g", START, "x" * (1024 * 1024 + 1)), "SQS accepts 1 byte to 1 MiB"),
        (Event("e", "g", START, "a\x00"), r"event 'e': body contains the character '\\x00', which SQS does not accept"),
    ],
)
def test_event_that_can_not_be_sent_is_named(cloud: Any, queue: str, event: Event, message: str) -> None:
    with pytest.raises(SendFailed, match=message):
        send_events([event], QueueSender(MessageQueue(cloud.client("sqs"), queue)))


def test_largest_body_that_sqs_accepts_is_sent(cloud: Any, queue: str) -> None:
    body = "é" * (512 * 1024)

    send_events([Event("e", "g", START, body)], QueueSender(MessageQueue(cloud.client("sqs"), queue)))

    (message,) = received(cloud.client("sqs"), queue)
    assert message["Body"] == body


def test_event_that_the_queue_has_already_is_sent_and_not_kept_again(cloud: Any, queue: str) -> None:
    events = stream(3, groups=1)

    result = send_events([*events, events[0]], QueueSender(MessageQueue(cloud.client("sqs"), queue)))

    assert (result.sent, result.kept) == (4, 3)
    assert len(received(cloud.client("sqs"), queue)) == 3


def test_large_bodies_are_split_over_batches(cloud: Any, queue: str) -> None:
    events = [Event(f"e{n}", f"g{n}", START, "x" * 400_000) for n in range(5)]

    result = send_events(events, QueueSender(MessageQueue(cloud.client("sqs"), queue)), lanes=1)

    assert (result.sent, result.batches) == (5, 3)


def test_standard_queue_gets_full_batches_without_groups(cloud: Any, own_name: str) -> None:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=own_name)["QueueUrl"]
    events = stream(50, groups=1)

    result = send_events(events, QueueSender(MessageQueue(sqs, url)), lanes=1)

    assert (result.sent, result.batches) == (50, 5)
    found: list[dict[str, Any]] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]).get(
        "Messages"
    ):
        found += batch
    assert sorted(message["Body"] for message in found) == sorted(event.body for event in events)
    assert all({"MessageGroupId", "MessageDeduplicationId"}.isdisjoint(each["Attributes"]) for each in found)
