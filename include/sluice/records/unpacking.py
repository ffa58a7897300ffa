"""Makes the records of what a source delivers: one for each event that is in it.

Envelopes are taken off in the order in which they are declared. The first record of a message has what was delivered,
verbatim. So nothing is lost whatever the declaration says, and a corrected one can derive the events from it again.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from sluice.declaration.references import imported
from sluice.declaration.sources import EventSource
from sluice.records.body import NO_BODY, Body, is_of_time, parse_body
from sluice.records.envelopes import MOST_BYTES, MOST_EVENTS, Fault, Inner, Opener
from sluice.records.payloads import Payloads
from sluice.records.record import (
    BASE64,
    BODY_ENCODING,
    OUTER_ENCODING,
    Record,
    content_of,
    first_of,
    numbered,
    reference_to,
)

_BYTE_ORDER_MARK = "\ufeff"
_NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})

Place = Callable[[Record, Body], Record]


class Delivery(NamedTuple):
    """One message, as a source delivers it. Times are in UTC.

    Attributes:
        content: The body.
        message_id: The id that the service gave to it.
        group: Its group; empty if it has none.
        sequence_number: Its place in the group, with as many digits as that of every message of the source.
        sent_at: When it was sent.
        event_id: The id of an event whose body has none; None: the message id.
        receive_count: How often it had been received.
        attributes: Its other attributes. Those of bytes have none named ``encoding`` or ``outer_encoding``.
    """

    content: str | bytes
    message_id: str
    group: str
    sequence_number: str
    sent_at: datetime
    event_id: str | None = None
    receive_count: int = 1
    attributes: Mapping[str, Any] = _NO_ATTRIBUTES


class _Text(NamedTuple):
    """Content as it is stored: text, or base64 where it is not UTF-8."""

    text: str
    is_base64: bool


class _Event(NamedTuple):
    """One event of a message, why it can't be read, and the group that an envelope names."""

    body: _Text
    fault: str | None = None
    group: str | None = None


class Unpacker:
    """Makes the records of one source.

    Args:
        source: The source, which declares the envelopes and the members of bodies.
        payloads: Reads payloads to which messages point.
        place: Returns the record of a body in its place in a group, if the body names that.

    Raises:
        DeclarationError: the class that an envelope names can't be imported.
    """

    def __init__(self, source: EventSource, payloads: Payloads, place: Place) -> None:
        self._source, self._place = source, place
        openers = [(each, imported(each.opener, f"an envelope of source {source.name}")) for each in source.envelopes]
        self._openers: list[Opener] = [opener(each, payloads) for each, opener in openers]

    def records(self, delivery: Delivery) -> list[Record]:
        """Make the records of a message, at least one, in the order of its events.

        Args:
            delivery: The message.

        Raises:
            ClientError: the message points to a payload, and S3 is busy or unavailable.
        """
        came = _stored(delivery.content)
        event, *others = self._events(delivery.content, came)
        outer = None if not others and event.body == came else came.text
        encodings = _encoding(BODY_ENCODING, event.body) | (_encoding(OUTER_ENCODING, came) if outer else {})
        first = self._record(delivery, 0, event, {**encodings, **delivery.attributes})._replace(outer=outer)
        if not others:
            return [first]
        reference = reference_to(first)
        return [
            first,
            *(
                self._record(delivery, number, event, {**reference, **_encoding(BODY_ENCODING, event.body)})
                for number, event in enumerate(others, 1)
            ),
        ]

    def message(self, delivery: Delivery) -> Record:
        """Make the record of a whole message: nothing is taken off, and no payload is read.

        Args:
            delivery: The message.
        """
        body = _stored(delivery.content)
        return self._record(delivery, 0, _Event(body), {**_encoding(BODY_ENCODING, body), **delivery.attributes})

    def derive_again(self, stored: Record) -> list[Record]:
        """Make the records of a stored one again, by today's declaration. A stored id stays where the body has none.

        Args:
            stored: The record as it is stored.

        Returns:
            All records of its message if it is taken apart in another way today, else its own one.

        Raises:
            ClientError: as for :meth:`records`.
        """
        if first_of(stored.attributes) is not None:  # its body is one event, and the first record has the message
            is_event = stored.fault is None or is_of_time(stored.fault)
            return [self._derived_again(stored) if is_event else stored]
        attributes = json.loads(stored.attributes)
        delivery = Delivery(
            content=content_of(stored),
            message_id=stored.message_id,
            group=stored.group,
            sequence_number=stored.sequence_number,
            sent_at=stored.sent_at,
            event_id=stored.event_id,
            receive_count=stored.receive_count,
            attributes={name: value for name, value in attributes.items() if value != BASE64},
        )
        made = self.records(delivery)
        return made[:1] if made[0].body == stored.body else made

    def _events(self, content: str | bytes, came: _Text) -> Sequence[_Event]:
        if not self._openers:
            return (_Event(_without_mark(came)),)
        inners = self._inners(content.encode() if isinstance(content, str) else content)
        return [_Event(_without_mark(_stored(each.content)), each.fault, each.group) for each in inners]

    def _inners(self, content: bytes) -> Sequence[Inner]:
        """Return what is left once every envelope is off, within bounds: a few bytes may unpack to very many."""
        inners = [Inner(content)]
        for opener in self._openers:
            opened, size = list[Inner](), 0
            for inner in chain.from_iterable(_opened(opener, each) for each in inners):
                opened.append(inner)
                size += len(inner.content)
                if len(opened) > MOST_EVENTS or size > MOST_BYTES:
                    return (Inner(content, "envelope: too_large"),)
            inners = opened
        return inners or (Inner(content, "envelope: no_event"),)

    def _record(self, delivery: Delivery, number: int, event: _Event, attributes: Mapping[str, Any]) -> Record:
        """Make a record. Of a body that can't be read, nothing is derived."""
        text, sent_at = event.body.text, delivery.sent_at
        body = NO_BODY if event.fault else parse_body(text, self._source, sent_at)
        record = Record(
            event_id=body.event_id or numbered(delivery.event_id or delivery.message_id, number),
            group=delivery.group if event.group is None else event.group,
            sequence_number=numbered(delivery.sequence_number, number),
            sent_at=sent_at,
            event_time=body.event_time or sent_at,
            event_time_from="sent" if body.event_time is None else "body",
            receive_count=delivery.receive_count,
            message_id=numbered(delivery.message_id, number),
            attributes=_json(attributes) if attributes else "{}",
            body=text,
            fault=event.fault or body.fault,
        )
        return self._place(record, body)

    def _derived_again(self, record: Record) -> Record:
        """Set again what is derived from the body."""
        body = parse_body(record.body, self._source, record.sent_at)
        derived = record._replace(
            event_id=body.event_id or record.event_id,
            event_time=body.event_time or record.sent_at,
            event_time_from="sent" if body.event_time is None else "body",
            fault=body.fault,
        )
        return self._place(derived, body)


def _opened(opener: Opener, inner: Inner) -> Iterable[Inner]:
    """Return what an envelope holds; the envelope itself with its fault, if it can't be taken off.

    The group that an envelope names is that of all in it, unless an inner one names another.
    """
    if inner.fault is not None:
        return (inner,)
    try:
        opened = opener.open(inner.content)
    except Fault as fault:
        return (inner._replace(fault=str(fault)),)
    return opened if inner.group is None else (each._replace(group=each.group or inner.group) for each in opened)


def _stored(content: str | bytes) -> _Text:
    if isinstance(content, str):
        return _Text(content, is_base64=False)
    try:
        return _Text(content.decode(), is_base64=False)
    except UnicodeDecodeError:
        return _Text(b64encode(content).decode(), is_base64=True)


def _without_mark(text: _Text) -> _Text:
    """Take off the byte order mark that editors on Windows put before a text."""
    return text._replace(text=text.text[1:]) if text.text.startswith(_BYTE_ORDER_MARK) else text


def _encoding(name: str, text: _Text) -> dict[str, Any]:
    return {name: BASE64} if text.is_base64 else {}


def _json(attributes: Mapping[str, Any]) -> str:
    return json.dumps(attributes, sort_keys=True, default=_hexadecimal)


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"message attribute of type {type(value).__name__}")
