"""A drain lands what waits, and deletes nothing that is not recorded (P1)."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud
from tests.draining import backlog, drain, records_from_sqs
from tests.sluice.lake_contents import manifest_json, put_raw, rows_of
from tests.sluice.toy import EVENTS, message, reading

from localcloud.testing.waiting import wait_for
from sluice.declaration import Ndjson
from sluice.errors import DeclarationError, UnreadableObject
from sluice.lake.manifests import File
from sluice.lake.store import Lake
from sluice.landing.parts import Flush, Landing, Limits
from sluice.landing.stopping import stopping
from sluice.records.record import Record
from sluice.sources.queue import drain as engine
from sluice.sources.queue.drain import Caution, Drained, lanes_for
from sluice.sources.queue.messages import DeleteFailed, MessageQueue

DAY = datetime(2013, 1, 1, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("short_poll")


def put(sqs: Any, queue: str, *bodies: str, groups: int = 3, ids: str = "") -> None:
    entries = [
        {"Id": str(n), "MessageBody": body, "MessageGroupId": f"g{n % groups}", "MessageDeduplicationId": f"{ids}{n}"}
        for n, body in enumerate(bodies)
    ]
    for start in range(0, len(entries), 10):
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries[start : start + 10]).get("Failed")


def readings(count: int, day: datetime = DAY) -> list[str]:
    return [reading(f"r-{n}", day + timedelta(minutes=n), n) for n in range(count)]


def raw_ids(lake: Lake, *days: str) -> Counter[str]:
    """Count the ids in the recorded parts."""
    return Counter(row["event_id"] for day in days for row in rows_of(lake, "raw/events", f"dt={day}"))


def test_all_waiting_messages_are_landed_by_day_and_deleted(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(60), *readings(5, DAY + timedelta(days=1)), "no json", groups=20)

    drained = drain(sqs, queue, lake, EVENTS)

    assert raw_ids(lake, "2013-01-01", "2013-01-02") == Counter(
        [f"r-{n}" for n in range(60)] + [f"r-{n}" for n in range(5)]
    )
    keys = [partition.key for partition in drained.partitions]
    assert keys[:2] == ["dt=2013-01-01", "dt=2013-01-02"]
    assert [row["body"] for row in rows_of(lake, "raw/events", keys[2])] == ["no json"]  # by the day it was sent
    assert (drained.messages, drained.empty, backlog(sqs, queue)) == (66, True, 0)


def test_manifest_records_rows_and_the_times_of_the_producers(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(60))
    drain(sqs, queue, lake, EVENTS)

    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")

    assert (manifest["state"], manifest["revision"], manifest["rows_in"], manifest["rows_out"]) == ("open", 0, 60, 60)
    assert manifest["first_event_time"] == "2013-01-01T00:00:00Z"
    assert manifest["last_event_time"] == "2013-01-01T00:59:00Z"
    assert (manifest["files"], len(manifest["inline"])) == ([], 60)


def test_event_without_a_time_of_the_producer_moves_no_watermark(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, "no json")
    (partition,) = drain(sqs, queue, lake, EVENTS).partitions

    assert manifest_json(lake, "raw/events", partition.key)["last_event_time"] is None


def test_empty_queue_is_drained_at_once_and_nothing_is_written(sqs: Any, queue: str, lake: Lake) -> None:
    drained = drain(sqs, queue, lake, EVENTS)

    assert drained == Drained(0, 0, 0, 0, (), redelivered=0, is_dry=True, after=drained.after, times=())
    assert drained.empty
    assert list(lake.objects("toy/")) == []


def test_data_in_a_closed_partition_raises_its_revision(sqs: Any, queue: str, lake: Lake) -> None:
    put_raw(lake, EVENTS, "2013-01-01", [message(reading("early", DAY))])
    put(sqs, queue, *readings(3))

    drain(sqs, queue, lake, EVENTS)

    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")
    assert (manifest["state"], manifest["revision"]) == ("closed", 2)
    assert raw_ids(lake, "2013-01-01") == Counter(["early", "r-0", "r-1", "r-2"])


def test_drain_ends_after_the_flush_that_reaches_its_limit_of_messages(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(50), groups=50)

    first = drain(sqs, queue, lake, EVENTS, Limits(messages=20))
    second = drain(sqs, queue, lake, EVENTS, Limits(messages=20))

    assert (first.messages, first.empty) == (20, False)
    assert (second.messages, backlog(sqs, queue)) == (20, 10)


def test_drain_at_its_time_limit_lands_what_it_holds_and_receives_no_more(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(300), groups=1)
    now = iter(count())  # a second with every reading

    drained = drain(sqs, queue, lake, EVENTS, Limits(seconds=60), clock=lambda: next(now))

    assert 0 < drained.messages < 300
    assert backlog(sqs, queue) == 300 - drained.messages
    assert raw_ids(lake, "2013-01-01").total() == drained.messages


def test_drain_ends_once_it_has_received_its_limit_of_bytes(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(300), groups=1)

    drained = drain(sqs, queue, lake, EVENTS, Limits(bytes=1_000), receivers=1)

    assert 1_000 <= drained.bytes < 2_000
    assert backlog(sqs, queue) == 300 - drained.messages


def fail(client: Any, operation: str, times: int = 1) -> None:
    """Keep the client's next calls of the operation from reaching the service."""
    left = [None] * times

    def refuse(**_: Any) -> None:
        if left:
            left.pop()
            raise ClientError({"Error": {"Code": "Injected", "Message": "here"}}, operation)

    client.meta.events.register(f"before-call.{operation}", refuse)


@pytest.mark.usefixtures("no_wire")
@pytest.mark.parametrize("operation", ["s3.PutObject", "s3.GetObject", "sqs.DeleteMessageBatch"])
def test_failed_drain_leaves_every_message_on_the_queue(
    cloud: Cloud, sqs: Any, queue: str, lake: Lake, operation: str
) -> None:
    """P1: GIVEN a cloud that refuses, WHEN the drain fails, THEN the next one lands all, and nothing was lost."""
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    put(sqs, queue, *readings(10))
    broken_s3, broken_sqs = cloud.client("s3"), cloud.client("sqs")
    fail(broken_s3 if operation.startswith("s3") else broken_sqs, operation)

    with pytest.raises(ClientError, match="Injected"):
        drain(broken_sqs, queue, Lake(broken_s3, lake.bucket, "toy"), EVENTS)

    assert backlog(sqs, queue) == 10
    wait_for(lambda: _visible(sqs, queue) == 10, what="the end of the visibility time-out")
    assert drain(sqs, queue, lake, EVENTS).empty
    assert set(raw_ids(lake, "2013-01-01")) == {f"r-{n}" for n in range(10)}


def _visible(sqs: Any, queue: str) -> int:
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


@pytest.mark.usefixtures("no_wire")
@pytest.mark.parametrize("groups", [2, 40])
def test_only_recorded_messages_are_deleted(cloud: Cloud, queue: str, lake: Lake, groups: int) -> None:
    """P1, checked by another reader at the moment of each delete: 2 groups give 20 messages a flush, 40 all."""
    sqs = cloud.client("sqs")
    put(sqs, queue, *readings(20), *readings(20, DAY + timedelta(days=1)), groups=groups)
    message_ids: dict[str, str] = {}  # by receipt
    are_recorded = list[bool]()

    def note(parsed: dict[str, Any], **_: Any) -> None:
        message_ids.update({each["ReceiptHandle"]: each["MessageId"] for each in parsed.get("Messages") or []})

    def check(params: dict[str, Any], **_: Any) -> None:
        recorded = {row["message_id"] for day in lake.partitions("raw/events") for row in raw_rows(lake, day.key)}
        are_recorded.append({message_ids[entry["ReceiptHandle"]] for entry in params["Entries"]} <= recorded)

    sqs.meta.events.register("after-call.sqs.ReceiveMessage", note)
    sqs.meta.events.register("provide-client-params.sqs.DeleteMessageBatch", check)

    drain(sqs, queue, lake, EVENTS)

    assert len(message_ids) == 40
    assert len(are_recorded) >= 4
    assert all(are_recorded)


def raw_rows(lake: Lake, key: str) -> list[dict[str, Any]]:
    return rows_of(lake, "raw/events", key)


def refuse_deletes(sqs: Any, times: int, *, sender_fault: bool) -> list[str]:
    """Make the queue refuse to delete the first message of a call; return the handles."""
    refused: list[str] = []

    def spoil(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        if len(refused) >= times:
            return params
        first, *others = params["Entries"]
        refused.append(first["ReceiptHandle"])
        return {**params, "Entries": [{**first, "ReceiptHandle": "of-no-message"}, *others]}

    def blame(parsed: dict[str, Any], **_: Any) -> None:
        for failure in parsed.get("Failed", ()):
            failure["SenderFault"] = sender_fault

    sqs.meta.events.register("provide-client-params.sqs.DeleteMessageBatch", spoil)
    sqs.meta.events.register("after-call.sqs.DeleteMessageBatch", blame)
    return refused


@pytest.mark.usefixtures("no_wire")
def test_failed_delete_is_retried(cloud: Cloud, queue: str, lake: Lake) -> None:
    sqs = cloud.client("sqs")
    put(sqs, queue, *readings(5))
    refused = refuse_deletes(sqs, times=2, sender_fault=False)

    assert drain(sqs, queue, lake, EVENTS).empty
    assert (len(refused), backlog(sqs, queue)) == (2, 0)
    assert raw_ids(lake, "2013-01-01") == Counter(f"r-{n}" for n in range(5))


@pytest.mark.usefixtures("no_wire")
def test_queue_that_deletes_nothing_fails_the_drain_after_five_tries(cloud: Cloud, queue: str, lake: Lake) -> None:
    sqs = cloud.client("sqs")
    put(sqs, queue, *readings(1))
    refused = refuse_deletes(sqs, times=100, sender_fault=False)

    with pytest.raises(DeleteFailed, match=r"1 messages of .* are landed but could not be deleted \(Receipt"):
        drain(sqs, queue, lake, EVENTS)
    assert len(refused) == 5
    assert raw_ids(lake, "2013-01-01") == Counter(["r-0"])


@pytest.mark.usefixtures("no_wire")
def test_message_with_an_expired_receipt_is_redelivered_and_is_no_error(cloud: Cloud, queue: str, lake: Lake) -> None:
    sqs = cloud.client("sqs")
    put(sqs, queue, *readings(3), groups=1)
    refuse_deletes(sqs, times=1, sender_fault=True)
    flushes: list[Flush] = []

    drained = drain(sqs, queue, lake, EVENTS, on_flush=flushes.append)

    assert [(flush.messages, flush.expired) for flush in flushes] == [(3, 1)]
    assert (drained.empty, backlog(sqs, queue)) == (False, 1)


def test_messages_held_longer_than_their_visibility_stay_invisible_to_others(sqs: Any, queue: str, lake: Lake) -> None:
    """GIVEN a flush that takes twice as long, WHEN another drain receives meanwhile, THEN it finds nothing."""
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "3"})
    put(sqs, queue, *readings(100), groups=10)
    others: list[Drained] = []

    class SlowLake(Lake):
        def put(self, key: str, body: bytes, rows: int = 0) -> File:
            ends = time.monotonic() + 6
            while time.monotonic() < ends:
                others.append(drain(sqs, queue, lake, EVENTS, receivers=1))
            return super().put(key, body, rows)

    slow = SlowLake(lake.s3, lake.bucket, "toy")
    drained = drain(sqs, queue, slow, EVENTS)

    assert (drained.messages, drained.redelivered, drained.empty) == (100, 0, True)
    assert [each.messages for each in others] == [0] * len(others)
    assert raw_ids(lake, "2013-01-01") == Counter(f"r-{n}" for n in range(100))


def test_stopped_drain_ends_its_flush_and_returns_the_rest(sqs: Any, queue: str, lake: Lake) -> None:
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "600"})
    put(sqs, queue, *readings(300), groups=30)
    stop = threading.Event()

    drained = drain(
        sqs, queue, lake, EVENTS, Limits(messages=250), stop=stop, on_flush=lambda _: stop.set(), receivers=2
    )

    assert drained.flushes == 1
    assert drained.messages == raw_ids(lake, "2013-01-01").total()
    assert _visible(sqs, queue) == 300 - drained.messages
    assert not drained.empty


def test_sigterm_stops_a_drain_and_is_raised_again_once_the_drain_has_ended() -> None:
    came: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("after"))
    try:
        with stopping() as stop:
            assert not stop.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert stop.is_set()
            came.append("drained")
        assert came == ["drained", "after"]
        with stopping():
            pass
        assert came == ["drained", "after"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_event_of_a_partition_whose_manifest_can_not_be_read_stays_in_the_queue(
    sqs: Any, queue: str, lake: Lake
) -> None:
    """P1: nothing is acknowledged, and nothing written over the manifest, until somebody has restored it."""
    put(sqs, queue, *readings(3), groups=1)
    key = "toy/raw/events/dt=2013-01-01/_manifest.json"
    lake.put(key, b"{")

    with pytest.raises(UnreadableObject, match=f"{key} is no JSON"):
        drain(sqs, queue, lake, EVENTS)
    assert lake.get(key) == b"{"
    assert backlog(sqs, queue) == 3


def test_few_messages_of_one_group_at_a_time_make_few_parts(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(250), groups=1)

    drained = drain(sqs, queue, lake, EVENTS)

    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")
    assert drained.flushes == 25
    assert [file["rows"] for file in manifest["files"]] == [100, 100]
    assert (len(manifest["inline"]), manifest["rows_in"]) == (50, 250)
    assert raw_ids(lake, "2013-01-01") == Counter(f"r-{n}" for n in range(250))


def test_several_drains_at_once_lose_nothing_and_land_each_message_once(
    cloud: Cloud, sqs: Any, queue: str, lake: Lake
) -> None:
    """Four lanes on one queue, all of one day: each lane writes the same manifest."""
    put(sqs, queue, *readings(600), groups=60)

    def lane(_: int) -> Drained:
        own = Lake(cloud.client("s3"), lake.bucket, "toy")
        return drain(cloud.client("sqs"), queue, own, EVENTS, Limits(messages=200))

    with ThreadPoolExecutor(4) as pool:
        drained = list(pool.map(lane, range(4)))
    drain(sqs, queue, lake, EVENTS)

    assert sum(lane.messages for lane in drained) <= 600
    assert raw_ids(lake, "2013-01-01") == Counter(f"r-{n}" for n in range(600))
    assert manifest_json(lake, "raw/events", "dt=2013-01-01")["rows_in"] == 600


def test_message_attributes_are_kept(sqs: Any, queue: str, lake: Lake) -> None:
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=reading("r", DAY),
        MessageGroupId="g",
        MessageDeduplicationId="d",
        MessageAttributes={"origin": {"DataType": "String", "StringValue": "EWR"}},
    )
    drain(sqs, queue, lake, EVENTS)

    (row,) = rows_of(lake, "raw/events", "dt=2013-01-01")
    assert json.loads(row["attributes"])["origin"]["StringValue"] == "EWR"


def test_attributes_count_in_the_bounds_of_a_drain(sqs: Any, queue: str, lake: Lake) -> None:
    """GIVEN small bodies with large attributes THEN flushes stay small, and no manifest holds them."""
    flushes: list[Flush] = []
    large = {"DataType": "String", "StringValue": "x" * 100_000}
    for number in range(12):
        sqs.send_message(
            QueueUrl=queue,
            MessageBody=reading(f"r-{number}", DAY),
            MessageAttributes={"a": large},
            MessageGroupId=f"g{number}",
            MessageDeduplicationId=f"{number}",
        )

    drained = drain(sqs, queue, lake, EVENTS, Limits(bytes=500_000), receivers=1, on_flush=flushes.append)

    assert drained.messages == 10  # one receive has passed the limit
    assert drained.bytes > 1_000_000
    assert sum(flush.bytes for flush in flushes) == drained.bytes
    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")
    assert (manifest["inline"], [file["rows"] for file in manifest["files"]]) == ([], [10])


def test_messages_are_counted_as_received_and_their_events_as_rows(sqs: Any, queue: str, lake: Lake) -> None:
    flushes: list[Flush] = []
    lines = "\n".join(reading(f"r-{number}", DAY) for number in range(4))
    put(sqs, queue, lines, "\n", groups=2)

    drained = drain(sqs, queue, lake, replace(EVENTS, unwrap=(Ndjson(),)), on_flush=flushes.append)

    assert (drained.messages, drained.bytes) == (2, len(lines) + 1)
    assert sum(flush.messages for flush in flushes) == 2
    assert raw_ids(lake, "2013-01-01") == Counter(f"r-{number}" for number in range(4))


def test_group_of_a_sender_that_is_not_in_order_is_ordered_by_event_time(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *(reading(f"r-{minute}", DAY + timedelta(minutes=minute)) for minute in (3, 1, 2)), groups=1)

    drain(sqs, queue, lake, replace(EVENTS, order="event_time"))

    rows = sorted(raw_rows(lake, "dt=2013-01-01"), key=lambda row: row["sequence_number"])
    assert [row["event_id"] for row in rows] == ["r-1", "r-2", "r-3"]
    with pytest.raises(DeclarationError, match="order='time' must be 'queue' or 'event_time'"):
        replace(EVENTS, order="time")


def test_rows_too_few_for_an_object_wait_in_the_manifest_for_the_next_drain(sqs: Any, queue: str, lake: Lake) -> None:
    for number in range(3):
        put(sqs, queue, *[reading(f"r-{number}-{n}", DAY, n) for n in range(40)], ids=f"{number}-")
        drain(sqs, queue, lake, EVENTS)

    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")
    (file,) = manifest["files"]
    assert file["rows"] + len(manifest["inline"]) == 120
    assert raw_ids(lake, "2013-01-01") == Counter(f"r-{number}-{n}" for number in range(3) for n in range(40))


@pytest.mark.parametrize(
    ("waiting", "most", "lanes"), [(0, 10, 1), (1, 10, 1), (20_000, 10, 1), (20_001, 10, 2), (10**6, 10, 10)]
)
def test_every_twenty_thousand_messages_get_a_lane(waiting: int, most: int, lanes: int) -> None:
    assert lanes_for(waiting, most) == lanes


def test_backlog_is_counted_without_a_receive(sqs: Any, queue: str) -> None:
    """However often P9's sensor probes, no message comes nearer to the dead-letter queue."""
    put(sqs, queue, *readings(3))

    assert [backlog(sqs, queue) for _ in range(3)] == [3, 3, 3]
    (received,) = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=1, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert received["Attributes"]["ApproximateReceiveCount"] == "1"
    assert backlog(sqs, queue) == 3  # in flight counts too


def test_drain_notes_how_often_messages_were_received_before_it_reads_them(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(3), groups=1)
    sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    noted: list[int] = []
    seen_before: list[list[int]] = []

    def read(received: Any) -> list[Record]:
        seen_before.append([*noted])
        return records_from_sqs(received, EVENTS)

    landing = Landing(lake, "events")
    caution = Caution(max_receives=5, note=noted.append)
    drained = engine.drain(MessageQueue(sqs, queue), read, landing, caution=caution)

    assert (drained.messages, drained.redelivered, noted) == (3, 3, [2])
    assert seen_before == [[2]] * 3


def test_healthy_drain_makes_no_call_for_its_caution(sqs: Any, queue: str, lake: Lake) -> None:
    put(sqs, queue, *readings(30))
    noted: list[int] = []
    read, landing = partial(records_from_sqs, source=EVENTS), Landing(lake, "events")

    caution = Caution(max_receives=5, note=noted.append)
    drained = engine.drain(MessageQueue(sqs, queue), read, landing, caution=caution)

    assert (drained.messages, noted) == (30, [])
