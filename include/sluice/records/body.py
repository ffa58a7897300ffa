"""Parses the JSON body of an event: its id, its time, and other members by name.

It never fails on content. A member that is absent or has no usable form is None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sluice.declaration.sources import EventSource
from sluice.records.times import OUT_OF_RANGE, TimeFault, parse_time

# A producer's clock may be wrong. An event time in the far future would move the watermark past all other events, and
# the zero of a clock is none of an event.
_MOST_AHEAD = timedelta(days=1)
_OF_TIME = "event_time: "
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2263, 1, 1, tzinfo=UTC)


class Body(NamedTuple):
    """A parsed body.

    Attributes:
        event_id: The event's id; None if the body has none that is usable.
        event_time: The event's time (UTC); None if the body has none that is usable.
        fault: Why it has none, as ``conform`` gives it for the reason; None if it has one.
        members: All members; empty if the body is no JSON object.
    """

    event_id: str | None
    event_time: datetime | None
    fault: str | None
    members: Mapping[str, Any]

    def text(self, member: str) -> str | None:
        """Return a member as text, as :func:`text_of` does."""
        return text_of(self.members.get(member))


NO_BODY = Body(None, None, None, {})


def parse_body(body: str, source: EventSource, sent_at: datetime) -> Body:
    """Parse a body, with id and time under the names that the source declares.

    A time is usable if it is in the years 1970 to 2262, and at most a day after ``sent_at``: other times come from a
    wrong clock.

    Args:
        body: The body as text.
        source: The source, which declares the names of the members, and the unit and the zone of times.
        sent_at: When the message was sent (UTC).
    """
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        members = {}
    if not isinstance(members, dict):
        members = {}
    event_time, fault = _event_time(members, source, sent_at)
    return Body(text_of(members.get(source.event_id)), event_time, fault, members)


def text_of(value: object) -> str | None:
    """Return an id or a group as text; None if it is neither text nor a whole number, or if UTF-8 can't encode it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can name half a surrogate pair: "\ud800"
        return None
    return value


def is_of_time(fault: str) -> bool:
    """Return whether a fault is of the time of an event alone: then the rest of it can be judged."""
    return fault.startswith(_OF_TIME)


def _event_time(
    members: Mapping[str, Any], source: EventSource, sent_at: datetime
) -> tuple[datetime | None, str | None]:
    """Return the usable time of an event, or why it has none."""
    if source.event_time not in members:
        return None, f"{_OF_TIME}missing"
    try:
        moment = parse_time(members[source.event_time], source.event_time_unit, source.event_time_zone)
    except TimeFault as fault:
        return None, f"{_OF_TIME}{fault}"
    if not _EARLIEST <= moment < _LATEST or moment - sent_at > _MOST_AHEAD:
        return None, f"{_OF_TIME}{OUT_OF_RANGE}"
    return moment, None
