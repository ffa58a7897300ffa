"""A raw record keeps the body verbatim whatever it is; nothing that a queue can hold stops the landing (P6)."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draining import record_from_sqs
from tests.sluice.lake_contents import read_parts
from tests.sluice.toy import EVENTS, message, reading

from sluice.records.record import SCHEMA, part_bytes

SENT = datetime(2014, 1, 1, tzinfo=UTC)
AT = "2013-06-01T12:00:00+02:00"

# What SQS lets through: no control characters but tab and line ends, no surrogates.
SQS_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\r"), min_size=1)
JSON_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
BODIES = SQS_TEXT | st.builds(
    lambda name, at, more: json.dumps({**more, "id": name, "at": at}),
    JSON_VALUE,
    JSON_VALUE | st.datetimes().map(str) | st.datetimes().map(lambda time: f"{time.isoformat()}+00:00"),
    st.dictionaries(st.text(), JSON_VALUE, max_size=2),
)


@given(st.lists(BODIES, min_size=1, max_size=5))
def test_any_body_is_returned_verbatim(bodies: list[str]) -> None:
    records = [record_from_sqs(message(body, place), EVENTS) for place, body in enumerate(bodies, 1)]

    _, part = part_bytes(records)

    rows = pq.read_table(io.BytesIO(part)).to_pylist()
    assert [row["body"] for row in rows] == bodies
    assert all(row["event_time"] <= SENT + timedelta(days=1) for row in rows)


def test_envelope_has_the_values_of_the_queue_and_of_the_body() -> None:
    body = reading("r-1", AT, 5)
    sent = message(body, 77, group="meter 1", receive_count=3, SentTimestamp="1388534400001")
    sent["MessageAttributes"] = {"b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}, "a": {"DataType": "String"}}

    record = record_from_sqs(sent, EVENTS)

    assert record.event_id == "r-1"
    assert record.group == "meter 1"
    assert record.sequence_number == "0" * 37 + "77"
    assert record.sent_at == SENT + timedelta(milliseconds=1)
    assert record.event_time == datetime(2013, 6, 1, 10, tzinfo=UTC)
    assert record.event_time_from == "body"
    assert record.receive_count == 3
    assert record.message_id == "message-77"
    assert json.loads(record.attributes) == {
        "a": {"DataType": "String"},
        "b": {"BinaryValue": "00ff", "DataType": "Binary"},
    }
    assert record.body == body


@pytest.mark.parametrize(
    ("event_id", "expected"),
    [
        ('"r-1"', "r-1"),
        ("17", "17"),  # a producer that counts: sent again, it is the same event
        ('""', "dedup-1"),
        ("null", "dedup-1"),
        ("true", "dedup-1"),
        ("1.5", "dedup-1"),
        ('["r-1"]', "dedup-1"),
        ('"\\ud800"', "dedup-1"),  # half a surrogate pair: JSON can encode it, UTF-8 can't
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\u0000"', "\x00"),
    ],
)
def test_invalid_id_is_replaced_by_the_deduplication_id(event_id: str, expected: str) -> None:
    record = record_from_sqs(message(f'{{"id": {event_id}, "at": "{AT}"}}'), EVENTS)

    (row,) = read_parts([part_bytes([record])[1]]).to_pylist()
    assert row["event_id"] == expected


@pytest.mark.parametrize(
    "at",
    [
        '"2013-06-01T12:00:00"',  # no offset: the moment is unknown
        '"yesterday"',
        '"2014-01-02T00:00:00.000001+00:00"',  # more than a day after it was sent
        '"9999-12-31T23:59:59-14:00"',
        '"0001-01-01T00:00:00+14:00"',  # before the beginning of time in UTC
        '"0001-01-01T00:00:00Z"',  # the zero of a clock
        '"1969-12-31T23:59:59.999999Z"',
        "1388534400",
        "null",
        "[]",
    ],
)
def test_unusable_time_is_replaced_by_the_sent_time(at: str) -> None:
    record = record_from_sqs(message(f'{{"id": "r-1", "at": {at}}}'), EVENTS)

    assert (record.event_time, record.event_time_from) == (SENT, "sent")
    assert record.event_id == "r-1"


@pytest.mark.parametrize("at", ["2014-01-02T00:00:00+00:00", "1970-01-01T00:00:00+00:00", "2013-06-01T12:00:00Z"])
def test_time_up_to_a_day_ahead_of_the_queue_is_accepted(at: str) -> None:
    record = record_from_sqs(message(reading("r-1", at)), EVENTS)

    assert (record.event_time, record.event_time_from) == (datetime.fromisoformat(at), "body")


@pytest.mark.parametrize("body", ["[" * 100_000, "9" * 10_000, "{", '"text"', "[1]", "null", "\u2028"])
def test_body_that_is_no_object_is_landed_with_the_values_of_the_queue(body: str) -> None:
    record = record_from_sqs(message(body), EVENTS)

    assert (record.event_id, record.event_time, record.body) == ("dedup-1", SENT, body)


@given(st.permutations(range(8)))
def test_part_does_not_depend_on_the_order_of_its_records(order: list[int]) -> None:
    """P4: same records, same bytes, same name. Sequence numbers of up to 128 bits sort as numbers."""
    places = [9, 10, 11, 2**64, 2**127, 99, 100, 1]
    records = [record_from_sqs(message("{}", place, group=f"g{place % 2}"), EVENTS) for place in places]

    name, body = part_bytes(records[n] for n in order)

    assert (name, body) == part_bytes(records)
    assert name.startswith(f"part-{1:039d}-")
    rows = [(row["group"], int(row["sequence_number"])) for row in pq.read_table(io.BytesIO(body)).to_pylist()]
    assert rows == sorted(rows)


def test_parts_are_read_as_one_table_and_no_parts_as_an_empty_one() -> None:
    parts = [part_bytes([record_from_sqs(message("{}", place), EVENTS)])[1] for place in (2, 1)]

    assert [row["message_id"] for row in read_parts(parts).to_pylist()] == ["message-2", "message-1"]
    assert read_parts([]).schema == SCHEMA
