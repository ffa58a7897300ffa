"""Makes deliveries from SQS messages, and finds the place of an event in its group.

A FIFO queue gives each message its group and its sequence number. In a standard queue, the body has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.declaration.sources import FifoQueue, StandardQueue
from sluice.records.body import Body
from sluice.records.record import Record
from sluice.records.unpacking import Delivery
from sluice.sources.queue.messages import Message

# The most digits of SQS's sequence numbers (128 bits). Sequence numbers are padded to as many, so they sort as text.
_DIGITS = 39
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
# The message attribute in which a message that is sent back carries the id of an event whose body has none. SQS gives
# such a message another message id, and in a dead-letter queue another deduplication id.
EVENT_ID = "sluice.event_id"


def delivery_of(message: Message) -> Delivery:
    """Make the delivery of a message. That of a standard queue has neither group nor sequence number.

    Args:
        message: The message, received with all system attributes.
    """
    system, attributes = message["Attributes"], message.get("MessageAttributes", {})
    return Delivery(
        content=message["Body"],
        message_id=message["MessageId"],
        group=system.get("MessageGroupId", ""),
        sequence_number=system.get("SequenceNumber", "").zfill(_DIGITS),
        sent_at=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC),
        event_id=attributes.get(EVENT_ID, {}).get("StringValue") or system.get("MessageDeduplicationId"),
        receive_count=int(system["ApproximateReceiveCount"]),
        attributes=attributes,
    )


def place_in_fifo(record: Record, body: Body, source: FifoQueue) -> Record:
    """Return the record in its place: the queue's, unless the source is ordered by event time.

    Args:
        record: The record with the queue's sequence number.
        body: Its body.
        source: The declared queue.
    """
    return record if source.order == "queue" else record._replace(sequence_number=_place_in_time(record.event_time))


def place_in_standard(record: Record, body: Body, source: StandardQueue) -> Record:
    """Return the record in its place: by the producer's count, else by its event time.

    Args:
        record: The record without group and place.
        body: Its body.
        source: The declared queue, which names the members of group and sequence.
    """
    count = body.members.get(source.sequence) if source.sequence else None
    counted = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**_DIGITS
    number = str(count).zfill(_DIGITS) if counted else _place_in_time(record.event_time)
    return record._replace(group=body.text(source.group) or "", sequence_number=number)


def _place_in_time(moment: datetime) -> str:
    """Return a moment as a sequence number: its microseconds since year 1."""
    return str((moment - _YEAR_ONE) // timedelta(microseconds=1)).zfill(_DIGITS)


def attributes_to_send(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a record as those of a message. Landing stores binary values as hexadecimal digits.

    Args:
        attributes: The parsed attributes of the first record of a message.
    """
    return {
        name: {"DataType": value["DataType"], "BinaryValue": bytes.fromhex(value["BinaryValue"])}
        if "BinaryValue" in value
        else {"DataType": value["DataType"], "StringValue": value["StringValue"]}
        for name, value in attributes.items()
        if isinstance(value, Mapping)
    }
