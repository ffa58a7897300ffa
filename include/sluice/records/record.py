"""A raw record: the body verbatim beside a typed envelope, and the Parquet part that holds many of them.

It never fails on content. If the body can't be parsed, the envelope has the id and the time of the message instead, and
``conform`` quarantines the record with a reason.
"""

from __future__ import annotations

import hashlib
import io
import json
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.lake.parquet import read_parquet

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
    "outer": pa.string(),
    "fault": pa.string(),
}
_NULLABLE = {"outer", "fault"}  # parts of earlier versions don't have them
_ORDER = attrgetter("group", "sequence_number", "message_id", "receive_count")
CONTROL = "control"
# Bytes that are not UTF-8 are stored as base64. An attribute of the record says so, of its body and of ``outer``.
BASE64, BODY_ENCODING, OUTER_ENCODING = "base64", "encoding", "outer_encoding"
_DIGITS = 6  # more than there are in the most events of a message
_MESSAGE, _FIRST_EVENT_TIME = "message", "first_event_time"
SCHEMA = pa.schema([pa.field(name, kind, nullable=name in _NULLABLE) for name, kind in _COLUMNS.items()])


class Record(NamedTuple):
    """One event as it was received. Times are in UTC.

    A message that holds several events makes as many records. The first has the ids and the sequence number of the
    message; those of the others have the number of the event after a colon, as in ``<message id>:000001``.

    Attributes:
        event_id: The producer's id, from the body; else the deduplication id or the message id.
        group: The group within which events are ordered; empty if the message has none.
        sequence_number: The place in the group. It has as many digits in every record of a source, so text sorts as
            numbers do.
        sent_at: When the message was sent.
        event_time: When the event happened, from the body; else ``sent_at``.
        event_time_from: ``body``, or ``sent`` if the body has no usable time.
        receive_count: How often the message had been received.
        message_id: The id that the service gave to the message.
        attributes: The message's other attributes, as JSON. Those of a record that is not the first of its message say
            where the first is (:func:`first_of`).
        body: The body of the event, verbatim.
        outer: What the source delivered, verbatim, if the body was taken out of it. If it holds several events, only
            the first of them has it.
        fault: Why this is no event, or none with a usable time, as ``conform`` gives it for the reason;
            :data:`CONTROL` for a message of a service that holds no event. None for an event.
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
    outer: str | None = None
    fault: str | None = None

    @property
    def characters(self) -> int:
        """How many characters it holds in the members that producers fill."""
        return len(self.body) + len(self.attributes) + (0 if self.outer is None else len(self.outer))


class First(NamedTuple):
    """Where the first record of a message is.

    Attributes:
        message_id: Its message id.
        event_time: Its event time (UTC), which tells its partition.
    """

    message_id: str
    event_time: datetime


def numbered(text: str, number: int) -> str:
    """Return the id or the sequence number of one event of a message.

    The first has the message's own, so that it keeps them however the message is taken apart. Sequence numbers of equal
    length still sort as text.

    Args:
        text: The message's own.
        number: The number of the event, from 0.
    """
    return f"{text}:{number:0{_DIGITS}d}" if number else text


def reference_to(first: Record) -> dict[str, str]:
    """Return the attributes by which the other records of a message name the first one."""
    return {_MESSAGE: first.message_id, _FIRST_EVENT_TIME: first.event_time.isoformat()}


def first_of(attributes: str) -> First | None:
    """Return where the first record of a message is; None if this is the first.

    Args:
        attributes: The attributes of a record.
    """
    if _FIRST_EVENT_TIME not in attributes:
        return None
    named = json.loads(attributes)
    message_id, moment = named.get(_MESSAGE), named.get(_FIRST_EVENT_TIME)
    if not isinstance(message_id, str) or not isinstance(moment, str):
        return None  # a message may have attributes of these names, but the values of those are no texts
    return First(message_id, datetime.fromisoformat(moment))


def content_of(record: Record) -> str | bytes:
    """Return what the source delivered, of the first record of a message."""
    text, name = (record.body, BODY_ENCODING) if record.outer is None else (record.outer, OUTER_ENCODING)
    return b64decode(text) if json.loads(record.attributes).get(name) == BASE64 else text


def part_bytes(records: Iterable[Record]) -> tuple[str, bytes]:
    """Encode records as a part, in group order. The same records give the same bytes.

    Returns:
        The name of the part, which has a digest of its bytes, and the Parquet bytes.
    """
    ordered = sorted(records, key=_ORDER)
    return part_of(table_of(ordered))


def part_of(table: pa.Table) -> tuple[str, bytes]:
    """Encode records as a raw part, in the given order.

    Args:
        table: At least one record, as a table of :data:`SCHEMA`.

    Returns:
        The name of the part, which has a digest of its bytes, and the Parquet bytes.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    body = buffer.getvalue()
    first = pc.min(table["sequence_number"]).as_py().partition(":")[0]
    return f"part-{first}-{hashlib.sha256(body).hexdigest()[:16]}.parquet", body


def table_of(records: Iterable[Record]) -> pa.Table:
    """Return records, at least one, as a table of :data:`SCHEMA`."""
    return pa.table(dict(zip(SCHEMA.names, zip(*records, strict=True), strict=True)), schema=SCHEMA)


def read_part(uri: str, body: bytes, remedy: str, rows: int, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
    """Read the records of a part.

    Args:
        uri: The ``s3://`` URI of the part, for the error.
        body: The bytes of the part.
        remedy: The next action if it can't be read, as :func:`sluice.lake.parquet.read_parquet` takes it.
        rows: How many records it has, as its manifest says.
        columns: The members to read.

    Raises:
        UnreadableObject: the part is damaged, or something else wrote it.
    """
    return read_parquet(uri, body, remedy, schema=pa.schema([SCHEMA.field(name) for name in columns]), rows=rows)


def record_json(record: Record) -> str:
    """Encode a record as a JSON object; its times are ISO 8601."""
    return json.dumps(record._asdict(), default=datetime.isoformat)


def record_from_json(text: str) -> Record:
    """Decode a record that :func:`record_json` encoded."""
    members = json.loads(text)
    return Record(**{**members, **{name: datetime.fromisoformat(members[name]) for name in ("sent_at", "event_time")}})
