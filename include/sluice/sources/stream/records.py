"""Makes raw records from Kinesis records."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from sluice.declaration.sources import Stream
from sluice.records.body import parse_body
from sluice.records.record import Record

# The most digits of a sequence number in Kinesis's API model. Sequence numbers are padded to as many, to sort as text.
_DIGITS = 129


def record_from_kinesis(record: Mapping[str, Any], shard_id: str, source: Stream) -> Record:
    """Make the raw record of a Kinesis record.

    Data that is not UTF-8 is stored as base64, and ``attributes`` is then ``{"encoding": "base64"}``.

    Args:
        record: The record as GetRecords returns it.
        shard_id: The id of the shard, which becomes a part of the message id.
        source: The declared stream.
    """
    sent_at = record["ApproximateArrivalTimestamp"].astimezone(UTC)
    message_id = f"{shard_id}:{record['SequenceNumber']}"
    try:
        text, attributes = record["Data"].decode(), "{}"
    except UnicodeDecodeError:
        text, attributes = b64encode(record["Data"]).decode(), '{"encoding": "base64"}'
    body = parse_body(text, source, sent_at)
    return Record(
        event_id=body.event_id or message_id,
        group=record["PartitionKey"],
        sequence_number=record["SequenceNumber"].zfill(_DIGITS),
        sent_at=sent_at,
        event_time=body.event_time or sent_at,
        event_time_from="sent" if body.event_time is None else "body",
        receive_count=1,
        message_id=message_id,
        attributes=attributes,
        body=text,
        fault=body.fault,
    )
