"""Makes raw records from SQS messages.

A FIFO queue gives each message its group and its sequence number. In a standard queue, the body has both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.declaration.sources import EventSource, FifoQueue, StandardQueue
from sluice.records.body import Body, derive_again, parse_body
from sluice.records.record import Record
from sluice.sources.queue.messages import Message

# The most digits of SQS's sequence numbers (128 bits). Sequence numbers are padded to as many, so they sort as text.
_DIGITS = 39
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


def record_from_fifo(message: Message, source: FifoQueue) -> Record:
    """Make the record of a message of a FIFO queue.

    Args:
        message: The message, received with all system attributes.
        source: The declared queue.
    """
    record, _ = _record(message, source)
    system = message["Attributes"]
    return record._replace(group=system["MessageGroupId"], sequence_number=system["SequenceNumber"].zfill(_DIGITS))


def record_from_standard(message: Message, source: StandardQueue) -> Record:
    """Make the record of a message of a standard queue.

    Args:
        message: The message, received with all system attributes.
        source: The declared queue, which names the members of group and sequence.
    """
    record, body = _record(message, source)
    return _with_place(record, body, source)


def derive_standard_again(record: Record, source: StandardQueue) -> Record:
    """Derive a stored record from its body again, by today's declaration, with its place in its group.

    Args:
        record: The record as it is stored.
        source: The declared queue, which names the members of group and sequence.
    """
    body = parse_body(record.body, source, record.sent_at)
    return _with_place(derive_again(record, source), body, source)


def _record(message: Message, source: EventSource) -> tuple[Record, Body]:
    """Return the record without its place in a group, and its body."""
    system, message_id = message["Attributes"], message["MessageId"]
    sent_at = datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)
    body = parse_body(message["Body"], source, sent_at)
    record = Record(
        event_id=body.event_id or system.get("MessageDeduplicationId", message_id),
        group="",
        sequence_number="",
        sent_at=sent_at,
        event_time=body.event_time or sent_at,
        event_time_from="sent" if body.event_time is None else "body",
        receive_count=int(system["ApproximateReceiveCount"]),
        message_id=message_id,
        attributes=_attributes(message.get("MessageAttributes")),
        body=message["Body"],
        fault=body.fault,
    )
    return record, body


def _with_place(record: Record, body: Body, source: StandardQueue) -> Record:
    """Set group and sequence number: the producer's count, else the event time in microseconds since year 1."""
    count = body.members.get(source.sequence) if source.sequence else None
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 10**_DIGITS:
        count = (record.event_time - _YEAR_ONE) // timedelta(microseconds=1)
    return record._replace(group=body.text(source.group) or "", sequence_number=str(count).zfill(_DIGITS))


def _attributes(attributes: Mapping[str, Any] | None) -> str:
    return json.dumps(attributes, sort_keys=True, default=_hexadecimal) if attributes else "{}"


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"message attribute of type {type(value).__name__}")
