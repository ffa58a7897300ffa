"""Where events come from: what a user declares of each source. Values only, like the pipeline they are part of.

A kind of source is a class of these and a connector, which does the work (:mod:`sluice.sources.contract`). The class
names its connector, so nothing else has a list of the kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from sluice.errors import DeclarationError


@dataclass(frozen=True)
class Source:
    """What every source has: a name, which is the name of its raw dataset.

    ``kind`` is what people call it. ``connector`` is ``"module:Class"`` of what does the work; it is imported only
    where the work is done, because a declaration must be cheap to parse.
    """

    kind: ClassVar[str]
    connector: ClassVar[str]

    name: str


@dataclass(frozen=True)
class EventSource(Source):
    """A source of single events, which an ingest DAG lands and a ``Conform`` step reads.

    ``event_id`` and ``event_time`` name the members of the JSON body that hold them; the time is ISO 8601 with
    an offset. ``lateness`` is how far the watermark trails the highest event time seen. A kind that ``keeps_arrivals``
    can be replayed by the time of arrival, as long as it keeps them.
    """

    keeps_arrivals: ClassVar[bool] = False

    event_id: str
    event_time: str
    lateness: timedelta = field(default=timedelta(hours=1), kw_only=True)


@dataclass(frozen=True)
class Queue(EventSource):
    """What FIFO and standard queues have in common. A declaration names one of the two.

    Args:
        retention: How long a message waits to be received. The queue's dead-letter queue keeps each for 14 days, which
            is the most that SQS allows, so a queue must keep its messages for less.
        visibility_timeout: How long a lane may take from receiving an event to deleting it, 30 seconds to 12 hours.
            After a crash the event's group stands still for this long.
        max_receives: How often a message is received before it goes to the dead-letter queue, 1 to 1,000.

    Raises:
        DeclarationError: one of these is out of its range, or a duration has a part of a second.
    """

    kind: ClassVar[str] = "queue"
    longest_retention: ClassVar[timedelta]

    retention: timedelta = field(kw_only=True)
    visibility_timeout: timedelta = field(default=timedelta(minutes=5), kw_only=True)
    max_receives: int = field(default=5, kw_only=True)

    def __post_init__(self) -> None:
        second, minute, hour = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
        _check_duration(self, "retention", minute, self.longest_retention, second)
        _check_duration(self, "visibility_timeout", timedelta(seconds=30), 12 * hour, second)
        _check_number(self, "max_receives", 1, 1000)


@dataclass(frozen=True)
class FifoQueue(Queue):
    """An SQS FIFO queue: ordered within a message group, at most 10 messages a receive.

    ``retention`` is at most 13 days: a message that moves to the dead-letter queue starts there anew.
    """

    connector: ClassVar[str] = "sluice.sources.queue.connector:FifoQueueConnector"
    longest_retention: ClassVar[timedelta] = timedelta(days=13)

    retention: timedelta = field(default=timedelta(days=13), kw_only=True)


@dataclass(frozen=True)
class StandardQueue(Queue):
    """An SQS standard queue: it delivers in any order, and sometimes twice.

    So the body itself says what is ordered: ``group`` names the member that holds the entity, ``sequence`` the one
    that holds the producer's own count within the group, a whole number of 0 or more. Without a sequence the event
    time orders, and of equal times the event id.

    ``retention`` is at most 7 days: a message keeps its age when it moves to the dead-letter queue (SQS developer
    guide, "Dead-letter queues and message retention"), so at least 7 days are left to look at it there.
    """

    connector: ClassVar[str] = "sluice.sources.queue.connector:StandardQueueConnector"
    longest_retention: ClassVar[timedelta] = timedelta(days=7)

    group: str
    sequence: str | None = None
    retention: timedelta = field(default=timedelta(days=7), kw_only=True)


@dataclass(frozen=True)
class Stream(EventSource):
    """A Kinesis stream: ordered within a partition key, which is the group. Its records stay until retention ends.

    Args:
        shards: How many shards the stream is made with; each takes 1 MiB or 1,000 records a second.
        retention: How long a record stays, in whole hours from 24 hours to 365 days. AWS bills what is beyond 24 hours.
            With the default of a week, an outage over a long weekend loses nothing.

    Raises:
        DeclarationError: one of these is out of its range.
    """

    kind: ClassVar[str] = "stream"
    connector: ClassVar[str] = "sluice.sources.stream.connector:StreamConnector"
    keeps_arrivals: ClassVar[bool] = True

    shards: int = field(default=1, kw_only=True)
    retention: timedelta = field(default=timedelta(days=7), kw_only=True)

    def __post_init__(self) -> None:
        hour, day = timedelta(hours=1), timedelta(days=1)
        _check_number(self, "shards", 1, 10_000)
        _check_duration(self, "retention", day, 365 * day, hour)


@dataclass(frozen=True)
class Marker:
    """A dropped partition is complete once an object of this name stands in its folder."""

    name: str = "_SUCCESS"


@dataclass(frozen=True)
class Drops(Source):
    """CSV or Parquet objects that someone else puts under ``<prefix>dt=…/`` in the pipeline's bucket."""

    kind: ClassVar[str] = "drops"
    connector: ClassVar[str] = "sluice.sources.drops.connector:DropsConnector"

    prefix: str
    complete: Marker = field(default_factory=Marker)


def _check_duration(source: Source, member: str, least: timedelta, most: timedelta, unit: timedelta) -> None:
    """Raises DeclarationError unless the member of a source is a whole number of units from ``least`` to ``most``."""
    value = getattr(source, member)
    if not isinstance(value, timedelta) or not least <= value <= most or value % unit:
        raise DeclarationError(
            f"source {source.name}: {member}={value!r} must be a timedelta from {_text(least)} to {_text(most)}, in "
            f"whole {'hours' if unit == timedelta(hours=1) else 'seconds'}"
        )


def _text(duration: timedelta) -> str:
    hours = duration / timedelta(hours=1)
    return f"{duration.total_seconds():g} seconds" if hours < 1 else f"{hours:g} hours"


def _check_number(source: Source, member: str, least: int, most: int) -> None:
    """Raises DeclarationError unless the member of a source is a whole number from ``least`` to ``most``."""
    value = getattr(source, member)
    if type(value) is not int or not least <= value <= most:
        raise DeclarationError(
            f"source {source.name}: {member}={value!r} must be a whole number from {least:,} to {most:,}"
        )
