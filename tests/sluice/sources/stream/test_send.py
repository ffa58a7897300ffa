"""Events on a stream keep each group's order, whatever Kinesis refuses."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from tests.sluice.sources.queue.test_send import START, expected_by_group
from tests.sluice.sources.queue.test_send import stream as events_of

from sluice.sending.lanes import Event, SendFailed, send_events
from sluice.sources.stream.send import StreamSender, partition_key
from sluice.sources.stream.shards import KinesisStream


@pytest.fixture
def stream(kinesis: Any, own_name: str) -> str:
    kinesis.create_stream(StreamName=own_name, ShardCount=2)
    return own_name


def by_group(kinesis: Any, stream: str) -> dict[str, list[str]]:
    """Return the bodies on the stream by group, in the order of their sequence numbers."""
    records: list[Any] = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        place = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**place)["ShardIterator"]
        records += kinesis.get_records(ShardIterator=iterator)["Records"]
    found = defaultdict(list)
    for record in sorted(records, key=lambda each: int(each["SequenceNumber"])):
        found[record["PartitionKey"]].append(record["Data"].decode())
    return dict(found)


class BusyShards:
    """A client whose stream refuses records: they are not delivered, and the answer reports it, record by record."""

    def __init__(self, kinesis: Any, refuse: Callable[[str], bool]) -> None:
        self.refuse = refuse
        self.refused: list[str] = []
        self.nowhere = "nowhere"
        if self.nowhere not in kinesis.list_streams()["StreamNames"]:
            kinesis.create_stream(StreamName=self.nowhere, ShardCount=1)
        kinesis.meta.events.register("provide-client-params.kinesis.PutRecords", self._take_out)
        kinesis.meta.events.register("after-call.kinesis.PutRecords", self._report)

    def _take_out(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
        names = [json.loads(record["Data"])["id"] for record in params["Records"]]
        context["out"] = [self.refuse(name) for name in names]
        self.refused += [name for name, out in zip(names, context["out"], strict=True) if out]
        kept = [record for record, out in zip(params["Records"], context["out"], strict=True) if not out]
        if not kept:
            return {**params, "StreamName": self.nowhere}  # Kinesis refuses a call without records
        return {**params, "Records": kept}

    def _report(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        taken = iter(parsed["Records"])
        busy = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}
        parsed["Records"] = [busy if out else next(taken) for out in context["out"]]
        parsed["FailedRecordCount"] = sum(context["out"])


def test_every_event_arrives_once_and_each_group_in_order(kinesis: Any, stream: str) -> None:
    events = events_of(3_000, groups=400)
    counts: list[int] = []

    result = send_events(iter(events), StreamSender(KinesisStream(kinesis, stream)), lanes=2, on_sent=counts.append)

    assert by_group(kinesis, stream) == expected_by_group(events)
    assert result.sent == sum(counts) == 3_000
    assert result.batches <= 20  # 400 groups over two lanes, each group once in a batch


def test_records_that_a_busy_shard_refuses_keep_their_place(kinesis: Any, stream: str) -> None:
    events, seen = events_of(300, groups=40), set[str]()

    def first_time(name: str) -> bool:
        new = name not in seen
        seen.add(name)
        return new and int(name.removeprefix("event-")) % 3 == 0

    busy = BusyShards(kinesis, first_time)

    result = send_events(events, StreamSender(KinesisStream(kinesis, stream)), lanes=3)

    assert len(busy.refused) == 100
    assert result.sent == 300
    assert by_group(kinesis, stream) == expected_by_group(events)


def test_finally_refused_record_ends_the_send_and_nothing_of_its_group_follows(
    kinesis: Any, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    events = events_of(400, groups=13)
    busy = BusyShards(kinesis, lambda name: name == "event-40")

    with pytest.raises(
        SendFailed,
        match=r"refused event 'event-40' of group 'group-1' \(ProvisionedThroughputExceededException: Rate exceeded "
        r"for shard\); the fault is the stream's, and send all again$",
    ):
        send_events(events, StreamSender(KinesisStream(kinesis, stream)), lanes=3)

    assert busy.refused == ["event-40"] * 10
    assert [json.loads(body)["place"] for body in by_group(kinesis, stream)["group-1"]] == [1, 14, 27]


def test_groups_of_any_characters_and_length_arrive(kinesis: Any, stream: str) -> None:
    groups = ["Zürich HB/Gleis 3", "x" * 256, "y" * 257]
    send_events(
        [Event(f"e{n}", group, START, "{}") for n, group in enumerate(groups)],
        StreamSender(KinesisStream(kinesis, stream)),
    )

    assert set(by_group(kinesis, stream)) == {*groups[:2], partition_key(groups[2])}
    assert partition_key(groups[2]).startswith("sha256:")


def test_large_bodies_are_split_over_batches_and_too_large_ones_are_named(kinesis: Any, stream: str) -> None:
    large = 1024 * 1024 - len("g0")
    events = [Event(f"e{n}", f"g{n}", START, "x" * large) for n in range(6)]

    result = send_events(events, StreamSender(KinesisStream(kinesis, stream)), lanes=1)

    assert (result.sent, result.batches) == (6, 2)
    with pytest.raises(SendFailed, match="event 'e': Kinesis accepts bodies of at most 1 MiB with their group"):
        send_events([Event("e", "g0", START, "x" * (large + 1))], StreamSender(KinesisStream(kinesis, stream)))
