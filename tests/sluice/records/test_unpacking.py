"""The events of a message keep its identity and its order, and what was delivered can be taken apart again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draining import NO_LAKE
from tests.sluice.lake_contents import read_parts
from tests.sluice.records import wrapped

from sluice.declaration import FifoQueue, Gzip, Ndjson, Sns, StandardQueue
from sluice.declaration.envelopes import Envelope
from sluice.records.payloads import Payloads
from sluice.records.record import First, Record, content_of, first_of, part_bytes
from sluice.records.unpacking import Delivery, Unpacker

SENT = datetime(2021, 5, 4, 12, tzinfo=UTC)
ATTRIBUTES = {"n": {"DataType": "Number", "StringValue": "7"}}


def unpacker(*unwrap: Envelope, **declared: Any) -> Unpacker:
    source = FifoQueue("s", event_id="id", event_time="at", unwrap=unwrap, **declared)
    return Unpacker(source, Payloads(NO_LAKE, "s"), lambda record, _: record)


def delivery(content: str | bytes, number: int = 1) -> Delivery:
    return Delivery(content, f"m{number}", "g", f"{number:039d}", SENT, f"d{number}", 2, ATTRIBUTES)


def stored(records: list[Record]) -> list[Record]:
    """Return records as they are read from raw."""
    return [Record(**row) for row in read_parts([part_bytes(records)[1]]).to_pylist()]


def test_events_are_numbered_after_the_first() -> None:
    records = unpacker(Ndjson()).records(delivery('{"x": 1}\n{"id": "b", "at": "2021-05-04T10:00:00Z"}\n\n{"x": 3}'))

    assert [each.message_id for each in records] == ["m1", "m1:000001", "m1:000002"]
    assert [each.event_id for each in records] == ["d1", "b", "d1:000002"]
    assert [each.sequence_number[-10:] for each in records] == ["0000000001", "001:000001", "001:000002"]
    assert [each.receive_count for each in records] == [2, 2, 2]
    assert json.loads(records[0].attributes) == ATTRIBUTES
    assert [first_of(each.attributes) for each in records] == [None, First("m1", SENT), First("m1", SENT)]


@given(st.lists(st.integers(1, 120), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_sequence_numbers_order_messages_and_their_events(counts: list[int], random: Any) -> None:
    records = list[Record]()
    for number, count in enumerate(counts, 9):
        lines = "\n".join(f'{{"id": "{number}-{n}"}}' for n in range(count))
        records += unpacker(Ndjson()).records(delivery(lines, number))
    ids = [each.event_id for each in records]
    random.shuffle(records)

    assert [each.event_id for each in sorted(records, key=lambda each: each.sequence_number)] == ids


@given(st.binary(max_size=40) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_came_is_stored_verbatim_under_any_declaration(content: bytes | str) -> None:
    for unwrap in ((), (Sns(),), (Gzip(),), (Ndjson(),), (Gzip(), Ndjson())):
        first, *_ = unpacker(*unwrap).records(delivery(content))

        came = content_of(first)
        assert (came if isinstance(came, bytes) else came.encode()) == (
            content if isinstance(content, bytes) else content.encode()
        )


def test_attribute_of_a_name_that_landing_uses_is_kept() -> None:
    named = {
        name: {"DataType": "String", "StringValue": "base64"} for name in ("encoding", "outer_encoding", "message")
    }
    content = wrapped.gzip_as_text("x")

    (record,) = unpacker(Sns(), Gzip()).records(delivery(wrapped.sns(content))._replace(attributes=named))

    assert (json.loads(record.attributes), content_of(record)) == (named, wrapped.sns(content))
    assert first_of(record.attributes) is None


def test_message_is_not_taken_apart_where_the_whole_is_asked_for() -> None:
    content = '{"id": "a"}\n{"id": "b"}'

    record = unpacker(Ndjson()).message(delivery(content))

    assert (record.body, record.event_id, record.message_id, record.outer) == (content, "d1", "m1", None)


# Again, by another declaration

LINES = "\n".join(f'{{"id": "e{n}", "at": "2021-05-0{n}T10:00:00Z"}}' for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("content", "wrong", "right"),
    [
        (LINES, (), (Ndjson(),)),
        (wrapped.sns(LINES), (), (Sns(), Ndjson())),
        (wrapped.sns(LINES), (Sns(),), (Sns(), Ndjson())),
        (wrapped.sns(wrapped.gzip_as_text(LINES)), (Ndjson(),), (Sns(), Gzip(), Ndjson())),
        (wrapped.packed(LINES), (), (Gzip(), Ndjson())),
        (wrapped.packed(LINES), (Gzip(),), (Gzip(), Ndjson())),
    ],
)
def test_corrected_declaration_gives_what_it_would_have_given(
    content: str | bytes, wrong: tuple[Envelope, ...], right: tuple[Envelope, ...]
) -> None:
    (landed,) = stored(unpacker(*wrong).records(delivery(content)))

    assert unpacker(*right).derive_again(landed) == unpacker(*right).records(delivery(content))


@pytest.mark.parametrize("unwrap", [(), (Ndjson(),), (Gzip(), Ndjson())])
def test_same_declaration_changes_nothing(unwrap: tuple[Envelope, ...]) -> None:
    for content in (LINES, "no json", wrapped.packed(LINES), b"\xff", wrapped.gzip_as_text(LINES)):
        for record in stored(unpacker(*unwrap).records(delivery(content))):
            assert unpacker(*unwrap).derive_again(record) == [record]


def test_event_that_is_not_the_first_is_derived_from_its_own_body() -> None:
    lines = '{"id": "a", "at": "2021-05-04T10:00:00Z"}\n{"id": "b", "at": "2021-05-04T10:00:00"}'
    first, second = stored(unpacker(Ndjson()).records(delivery(lines)))
    assert (first.fault, second.fault) == (None, "event_time: not_a_time")
    corrected = unpacker(Ndjson(), event_time_zone="Europe/Berlin")

    assert corrected.derive_again(first) == [first]
    (derived,) = corrected.derive_again(second)
    assert derived == second._replace(
        event_time=datetime(2021, 5, 4, 8, tzinfo=UTC), event_time_from="body", fault=None
    )


def test_place_is_that_of_each_body() -> None:
    source = StandardQueue("s", "id", "at", group="g", unwrap=(Ndjson(),))

    def place(record: Record, body: Any) -> Record:
        return record._replace(group=body.text(source.group) or "")

    records = Unpacker(source, Payloads(NO_LAKE, "s"), place).records(delivery('{"g": "a"}\n{"g": 7}\n[]'))

    assert [each.group for each in records] == ["a", "7", ""]
