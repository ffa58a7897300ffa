"""Makes deliveries from Kinesis records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from sluice.records.unpacking import Delivery

# The most digits of a sequence number in Kinesis's API model. Sequence numbers are padded to as many, to sort as text.
_DIGITS = 129


def delivery_of(record: Mapping[str, Any], shard_id: str) -> Delivery:
    """Make the delivery of a Kinesis record.

    Args:
        record: The record as GetRecords returns it.
        shard_id: The id of the shard, which becomes a part of the message id.
    """
    return Delivery(
        content=record["Data"],
        message_id=f"{shard_id}:{record['SequenceNumber']}",
        group=record["PartitionKey"],
        sequence_number=record["SequenceNumber"].zfill(_DIGITS),
        sent_at=record["ApproximateArrivalTimestamp"].astimezone(UTC),
    )
