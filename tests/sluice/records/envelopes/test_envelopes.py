"""Each envelope gives its events verbatim and in order; one that can't be taken off says why, and loses nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draining import NO_LAKE
from tests.sluice.records import wrapped

from sluice.declaration import (
    CloudEvents,
    CloudWatchLogs,
    ConcatenatedJson,
    EventBridge,
    FifoQueue,
    Gzip,
    Ndjson,
    S3Notification,
    Sns,
    SqsExtended,
    Stream,
)
from sluice.declaration.envelopes import Envelope
from sluice.declaration.sources import EventSource
from sluice.errors import DeclarationError
from sluice.records import envelopes as bounds
from sluice.records.payloads import Payloads
from sluice.records.record import CONTROL, Record
from sluice.records.unpacking import Delivery, Unpacker

SENT = datetime(2021, 5, 4, 12, tzinfo=UTC)
EVENT = '{"id": "t-1", "at": "2021-05-04T10:00:00Z", "level": 1.10}'
OTHER = '{"id": "t-2", "at": "2021-05-04T10:01:00Z", "level": 12345678901234567890.123}'


def unpacked(content: str | bytes, *unwrap: Envelope, stream: bool = False) -> list[Record]:
    """Return the records of a message with this content."""
    source: EventSource = (
        Stream("s", event_id="id", event_time="at", unwrap=unwrap)
        if stream
        else FifoQueue("s", event_id="id", event_time="at", unwrap=unwrap)
    )
    unpacker = Unpacker(source, Payloads(NO_LAKE, "s"), lambda record, _: record)
    return unpacker.records(Delivery(content, "m", "g", "0042", SENT, event_id="d"))


@pytest.mark.parametrize(
    ("content", "unwrap", "bodies"),
    [
        (wrapped.sns(EVENT), (Sns(),), [EVENT]),
        (wrapped.eventbridge(OTHER), (EventBridge(),), [OTHER]),
        (wrapped.cloudevent(data=json.loads(EVENT)), (CloudEvents(),), [json.dumps(json.loads(EVENT))]),
        (wrapped.cloudevent(data_base64=base64.b64encode(EVENT.encode()).decode()), (CloudEvents(),), [EVENT]),
        (wrapped.cloudevent(data=EVENT, datacontenttype="text/plain"), (CloudEvents(),), [EVENT]),
        (wrapped.cloudevent(data=EVENT), (CloudEvents(),), [json.dumps(EVENT)]),
        (wrapped.cloudwatch_logs(EVENT, OTHER), (CloudWatchLogs(),), [EVENT, OTHER]),
        (wrapped.packed(EVENT), (Gzip(),), [EVENT]),
        (wrapped.packed(EVENT) + wrapped.packed(OTHER), (Gzip(),), [EVENT + OTHER]),
        (wrapped.gzip_as_text(EVENT), (Gzip(),), [EVENT]),
        (f"{EVENT}\n\n{OTHER}\r\n", (Ndjson(),), [EVENT, OTHER]),
        (f"{EVENT}{OTHER} \n{EVENT}", (ConcatenatedJson(),), [EVENT, OTHER, EVENT]),
        ('{"a": "}{"}{"b": "\\"}{"}', (ConcatenatedJson(),), ['{"a": "}{"}', '{"b": "\\"}{"}']),
        (f'{EVENT}{{"id": t}}{OTHER}', (ConcatenatedJson(),), [EVENT, '{"id": t}', OTHER]),
        (f"{EVENT}!{OTHER}", (ConcatenatedJson(),), [EVENT, "!", OTHER]),
        (wrapped.sns(wrapped.gzip_as_text(f"{EVENT}\n{OTHER}")), (Sns(), Gzip(), Ndjson()), [EVENT, OTHER]),
        (wrapped.sns(wrapped.eventbridge(EVENT)), (Sns(), EventBridge()), [EVENT]),
        (EVENT, (SqsExtended("b"),), [EVENT]),
        ("﻿" + EVENT, (), [EVENT]),
        (wrapped.sns("﻿" + EVENT), (Sns(),), [EVENT]),
    ],
)
def test_events_are_taken_out_verbatim_and_in_order(
    content: str | bytes, unwrap: tuple[Envelope, ...], bodies: list[str]
) -> None:
    records = unpacked(content, *unwrap)

    assert [record.body for record in records] == bodies
    came = content if isinstance(content, str) else base64.b64encode(content).decode()
    assert [record.outer for record in records] == [None if bodies == [came] else came, *[None] * (len(bodies) - 1)]


def test_keys_of_s3_are_decoded_once() -> None:
    keys = ("a+b.png", "a%2Bb.png", "a%252Bb.png", "%C3%A9.png")

    records = unpacked(wrapped.sns(wrapped.s3_notification(*keys)), Sns(), S3Notification())

    found = [json.loads(record.body)["s3"]["object"]["key"] for record in records]
    assert found == ["a b.png", "a+b.png", "a%2Bb.png", "é.png"]


@pytest.mark.parametrize(
    ("content", "envelope"),
    [
        ('{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}', S3Notification()),
        (wrapped.cloudwatch_logs("check", kind="CONTROL_MESSAGE"), CloudWatchLogs()),
        (json.dumps({"Type": "SubscriptionConfirmation", "Message": "You have chosen", "Token": "t"}), Sns()),
    ],
)
def test_message_without_an_event_is_no_fault(content: str | bytes, envelope: Envelope) -> None:
    (record,) = unpacked(content, envelope)

    assert (record.fault, record.outer, record.event_time_from) == (CONTROL, None, "sent")


@pytest.mark.parametrize(
    ("content", "envelope", "reason"),
    [
        (EVENT, Sns(), "envelope: no_Message"),
        ("[1]", Sns(), "envelope: no_object"),
        ("[" * 10_000, Sns(), "envelope: not_json"),
        (wrapped.sns("\ud800"), Sns(), "envelope: half_a_surrogate"),
        (EVENT, EventBridge(), "envelope: no_detail"),
        ('{"detail": {"a": 1}', EventBridge(), "envelope: not_json"),
        ('{"detail": {"a": 1}} {}', EventBridge(), "envelope: not_json"),
        (EVENT, CloudEvents(), "envelope: no_specversion"),
        (wrapped.cloudevent(), CloudEvents(), "envelope: no_data"),
        (wrapped.cloudevent(data_base64="?"), CloudEvents(), "envelope: data_base64"),
        (EVENT, S3Notification(), "envelope: no_Records"),
        ('{"Records": []}', S3Notification(), "envelope: no_event"),
        (wrapped.packed(EVENT), CloudWatchLogs(), "envelope: no_logEvents"),
        (" \n ", Ndjson(), "envelope: no_event"),
        (EVENT, Gzip(), "gzip: not_gzip"),
        (wrapped.packed(EVENT)[:-9], Gzip(), "gzip: truncated"),
        (wrapped.packed(EVENT)[:-8] + b"12345678", Gzip(), "gzip: damaged"),
        (wrapped.pointer("another", "k"), SqsExtended("b"), "payload: other_bucket"),
        (wrapped.pointer("b", "\ud800"), SqsExtended("b"), "payload: no_pointer"),
    ],
)
def test_envelope_that_cannot_be_taken_off_keeps_what_came(
    content: str | bytes, envelope: Envelope, reason: str
) -> None:
    (record,) = unpacked(content, envelope)

    came = content if isinstance(content, str) else base64.b64encode(content).decode()
    assert (record.fault, record.body, record.outer) == (reason, came, None)
    assert (record.event_id, record.event_time, record.event_time_from) == ("d", SENT, "sent")


def test_fault_of_one_event_leaves_the_others() -> None:
    content = json.dumps({"Records": [{"s3": {}}, *json.loads(wrapped.s3_notification("a+b"))["Records"]]})
    logs = wrapped.packed(json.dumps({"logEvents": [{"id": "1"}, {"message": EVENT}]}))

    assert [each.fault for each in unpacked(content, S3Notification())] == ["envelope: no_key", "event_time: missing"]
    assert [each.fault for each in unpacked(logs, CloudWatchLogs())] == ["envelope: no_message", None]


def test_inner_envelope_that_is_broken_keeps_the_outer_message() -> None:
    content = wrapped.sns("no gzip")

    (record,) = unpacked(content, Sns(), Gzip())

    assert (record.fault, record.body, record.outer) == ("gzip: not_gzip", "no gzip", content)


@pytest.mark.parametrize("envelope", [Gzip(), CloudWatchLogs()])
def test_bomb_is_stopped_at_the_bound(envelope: Envelope) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024), 9)

    (record,) = unpacked(bomb, envelope)

    assert record.fault == "gzip: too_large"


def test_message_of_too_many_events_is_kept_whole() -> None:
    content = "{}\n" * (bounds.MOST_EVENTS + 1)

    (record,) = unpacked(content, Ndjson())

    assert (record.fault, record.body) == ("envelope: too_large", content)


def test_bombs_in_one_message_are_bounded_together() -> None:
    lines = "\n".join([wrapped.gzip_as_text(" " * (bounds.MOST_BYTES // 2))] * 3)

    (record,) = unpacked(lines, Ndjson(), Gzip())

    assert record.fault == "envelope: too_large"


# Aggregated records of Kinesis


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.binary(max_size=200)), min_size=1, max_size=9))
def test_aggregated_records_keep_their_groups_and_order(records: list[tuple[str, bytes]]) -> None:
    content = wrapped.aggregated(*records)

    found = unpacked(content, stream=True)

    assert [(record.group, record.body) for record in found] == [(key, as_stored(data)) for key, data in records]
    assert [record.outer for record in found] == [as_stored(content), *[None] * (len(records) - 1)]


def as_stored(data: bytes) -> str:
    try:
        return data.decode().removeprefix("﻿")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def test_aggregation_goes_with_what_is_declared() -> None:
    content = wrapped.aggregated(("a", wrapped.packed(f"{EVENT}\n{OTHER}")), ("b", wrapped.packed("{}")))

    records = unpacked(content, Gzip(), Ndjson(), stream=True)

    assert [(record.group, record.body) for record in records] == [("a", EVENT), ("a", OTHER), ("b", "{}")]
    assert [record.sequence_number for record in records] == ["0042", "0042:000001", "0042:000002"]


@pytest.mark.parametrize(
    "content",
    [
        wrapped.MAGIC,
        wrapped.aggregated(("a", b"{}"), spoil=lambda digest: digest[::-1]),
        wrapped.MAGIC + b"\xff\xff" + hashlib.md5(b"\xff\xff").digest(),
    ],
    ids=["magic alone", "wrong digest", "no protobuf"],
)
def test_record_that_only_looks_aggregated_is_a_plain_one(content: bytes) -> None:
    (record,) = unpacked(content, stream=True)

    assert (record.body, record.attributes, record.outer) == (as_stored(content), '{"encoding": "base64"}', None)


# Declarations


@pytest.mark.parametrize("unwrap", [Sns(), (Sns,), ("sns",)])
def test_wrong_declaration_is_refused(unwrap: Any) -> None:
    with pytest.raises(DeclarationError, match=r"unwrap=.* must be a tuple; write it as unwrap=\(Sns\(\),\)"):
        FifoQueue("s", event_id="id", event_time="at", unwrap=unwrap)


def test_envelope_of_a_user_is_a_declared_class_and_an_opener(declare: Any) -> None:
    declare(
        "toy",
        {
            "reverse": (
                "from sluice.records.envelopes import Inner, Opener\n"
                "class Reverse(Opener):\n    def open(self, content):\n        return [Inner(content[::-1])]\n"
            )
        },
    )

    class Reversed(Envelope):
        opener = "pipelines.toy.reverse:Reverse"

    (record,) = unpacked(EVENT[::-1], Reversed())

    assert record.body == EVENT


def test_missing_opener_is_named() -> None:
    class Missing(Envelope):
        opener = "pipelines.nowhere:Opener"

    with pytest.raises(DeclarationError, match=r"^an envelope of source s names 'pipelines\.nowhere:Opener', "):
        unpacked(EVENT, Missing())
