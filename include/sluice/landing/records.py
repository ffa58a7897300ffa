"""A raw record: the body verbatim beside a typed envelope, and the Parquet part that holds many of them.

Nothing here judges content. Where the body can't be read, the envelope falls back to what the queue itself
knows, and ``conform`` says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline import FifoQueue

# SQS sequence numbers are decimal, of up to 128 bits: padded to 39 digits they sort as text.
_SEQUENCE_DIGITS = 39
# A producer's clock may be wrong. One event from the far future must not move the watermark past all others.
_MOST_AHEAD = timedelta(days=1)

_COLUMNS: Mapping[str, pa.DataType] = {
    "event_id": pa.string(),
    "group": pa.string(),
    "sequence_number": pa.string(),
    "sent_at": pa.timestamp("ms", tz="UTC"),
    "event_time": pa.timestamp("us", tz="UTC"),
    "event_time_from": pa.string(),
    "receive_count": pa.int32(),
    "message_id": pa.string(),
    "attributes": pa.string(),
    "body": pa.string(),
}
SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])


@dataclass(frozen=True)
class Record:
    """One received message. ``event_time_from`` is ``body``, or ``sent`` where the body tells no usable time.

    ``sequence_number`` is 39 digits, so that text order is number order; ``attributes`` is the message's own
    attributes as JSON.
    """

    event_id: str
    group: str
    sequence_number: str
    sent_at: datetime
    event_time: datetime
    event_time_from: str
    receive_count: int
    message_id: str
    attributes: str
    body: str


def record_from_sqs(message: Mapping[str, Any], source: FifoQueue) -> Record:
    """The record of one SQS message, received with all system attributes."""
    system = message["Attributes"]
    sent_at = datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)
    members = _members(message["Body"])
    event_time = _event_time(members.get(source.event_time), sent_at)
    return Record(
        event_id=_event_id(members.get(source.event_id)) or system["MessageDeduplicationId"],
        group=system["MessageGroupId"],
        sequence_number=system["SequenceNumber"].zfill(_SEQUENCE_DIGITS),
        sent_at=sent_at,
        event_time=event_time or sent_at,
        event_time_from="sent" if event_time is None else "body",
        receive_count=int(system["ApproximateReceiveCount"]),
        message_id=message["MessageId"],
        attributes=json.dumps(message.get("MessageAttributes", {}), sort_keys=True, default=_hexadecimal),
        body=message["Body"],
    )


def _members(body: str) -> Mapping[str, Any]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _event_id(value: object) -> str | None:
    """The id as text; None where it is neither text nor a whole number, or is text that UTF-8 can't hold."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can name half a surrogate pair: "\ud800"
        return None
    return value


def _event_time(value: object, sent_at: datetime) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo and moment - sent_at <= _MOST_AHEAD else None
    except (ValueError, OverflowError):
        return None


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"message attribute of type {type(value).__name__}")


def part_bytes(records: Iterable[Record]) -> tuple[str, bytes]:
    """(name, bytes) of the part that holds these records, in group order. Same records, same bytes."""
    ordered = sorted(records, key=lambda record: (record.group, record.sequence_number, record.receive_count))
    columns = {name: [getattr(record, name) for record in ordered] for name in SCHEMA.names}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
    body = buffer.getvalue()
    first = min(record.sequence_number for record in ordered)
    return f"part-{first}-{hashlib.sha256(body).hexdigest()[:16]}.parquet", body


def read_parts(bodies: Sequence[bytes]) -> pa.Table:
    """The records of several parts as one table of :data:`SCHEMA`."""
    tables = [pq.read_table(io.BytesIO(body), schema=SCHEMA) for body in bodies]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()
