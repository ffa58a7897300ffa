"""A raw record: the body verbatim beside a typed envelope, and the Parquet part that holds many of them.

Nothing here judges content. Where the body can't be read, the envelope falls back to what the queue itself
knows, and ``conform`` says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import io
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.declaration.sources import EventSource, FifoQueue, Queue, StandardQueue, Stream

# Padded to the most digits that the service gives, sequence numbers sort as text: SQS's are of up to 128 bits,
# Kinesis's as its API model has them.
_SQS_DIGITS = 39
_KINESIS_DIGITS = 129
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
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
_PLACE = attrgetter("group", "sequence_number", "message_id", "receive_count")
SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])


class Record(NamedTuple):
    """One received message. ``event_time_from`` is ``body``, or ``sent`` where the body tells no usable time.

    ``sequence_number`` has as many digits in every record of a source, so that text order is number order;
    ``attributes`` is what else the message carried, as JSON.
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


def record_from_sqs(message: Mapping[str, Any], source: Queue) -> Record:
    """The record of one SQS message, received with all system attributes."""
    system = message["Attributes"]
    sent_at = datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)
    body, message_id = message["Body"], message["MessageId"]
    members = _members(body)
    told = _event_time(members.get(source.event_time), sent_at)
    event_time = told or sent_at
    event_id = _text(members.get(source.event_id))
    if isinstance(source, FifoQueue):
        group, sequence_number = system["MessageGroupId"], system["SequenceNumber"].zfill(_SQS_DIGITS)
    else:
        group, sequence_number = _text(members.get(source.group)) or "", _sequence(members, source, event_time)
    return Record(
        event_id or system.get("MessageDeduplicationId", message_id),
        group,
        sequence_number,
        sent_at,
        event_time,
        "sent" if told is None else "body",
        int(system["ApproximateReceiveCount"]),
        message_id,
        _attributes(message.get("MessageAttributes")),
        body,
    )


def record_from_kinesis(record: Mapping[str, Any], shard_id: str, source: Stream) -> Record:
    """The record of one Kinesis record. Data that is not UTF-8 becomes base64, and ``attributes`` says so."""
    sent_at = record["ApproximateArrivalTimestamp"].astimezone(UTC)
    message_id = f"{shard_id}:{record['SequenceNumber']}"
    try:
        body, attributes = record["Data"].decode(), "{}"
    except UnicodeDecodeError:
        body, attributes = b64encode(record["Data"]).decode(), '{"encoding": "base64"}'
    members = _members(body)
    told = _event_time(members.get(source.event_time), sent_at)
    return Record(
        _text(members.get(source.event_id)) or message_id,
        record["PartitionKey"],
        record["SequenceNumber"].zfill(_KINESIS_DIGITS),
        sent_at,
        told or sent_at,
        "sent" if told is None else "body",
        1,
        message_id,
        attributes,
        body,
    )


def derived_anew(record: Record, source: EventSource) -> Record:
    """A stored record as today's declaration makes it of its body; what the body does not tell stays as it is."""
    members = _members(record.body)
    told = _event_time(members.get(source.event_time), record.sent_at)
    event_time = told or record.sent_at
    group, sequence_number = record.group, record.sequence_number
    if isinstance(source, StandardQueue):
        group, sequence_number = _text(members.get(source.group)) or "", _sequence(members, source, event_time)
    return record._replace(
        event_id=_text(members.get(source.event_id)) or record.event_id,
        group=group,
        sequence_number=sequence_number,
        event_time=event_time,
        event_time_from="sent" if told is None else "body",
    )


def _sequence(members: Mapping[str, Any], source: StandardQueue, event_time: datetime) -> str:
    """The producer's count where it gives one, else the event time in microseconds since the year 1."""
    count = members.get(source.sequence) if source.sequence else None
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**_SQS_DIGITS:
        return str(count).zfill(_SQS_DIGITS)
    return str((event_time - _YEAR_ONE) // timedelta(microseconds=1)).zfill(_SQS_DIGITS)


def _attributes(attributes: Mapping[str, Any] | None) -> str:
    return json.dumps(attributes, sort_keys=True, default=_hexadecimal) if attributes else "{}"


def _members(body: str) -> Mapping[str, Any]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _text(value: object) -> str | None:
    """An id or a group as text; None where it is neither text nor a whole number, or is text that UTF-8 can't hold."""
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
    ordered = sorted(records, key=_PLACE)
    columns = dict(zip(SCHEMA.names, zip(*ordered, strict=True), strict=True))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
    body = buffer.getvalue()
    first = min(record.sequence_number for record in ordered)
    return f"part-{first}-{hashlib.sha256(body).hexdigest()[:16]}.parquet", body


def read_parts(bodies: Sequence[bytes]) -> pa.Table:
    """The records of several parts as one table of :data:`SCHEMA`."""
    tables = [pq.read_table(io.BytesIO(body), schema=SCHEMA) for body in bodies]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def record_json(record: Record) -> str:
    """One record as a JSON object; its times are ISO 8601."""
    return json.dumps(record._asdict(), default=datetime.isoformat)


def record_from_json(text: str) -> Record:
    """The record that :func:`record_json` made this of."""
    members = json.loads(text)
    return Record(**{**members, **{name: datetime.fromisoformat(members[name]) for name in ("sent_at", "event_time")}})
