"""Where events come from: what a user declares of each source. Values only, like the pipeline they are part of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True)
class FifoQueue:
    """An SQS FIFO queue: ordered within a message group, at most 10 messages a receive.

    ``event_id`` and ``event_time`` name the members of the JSON body that hold them; the time is ISO 8601 with
    an offset. ``lateness`` is how far the watermark trails the highest event time seen.
    """

    name: str
    event_id: str
    event_time: str
    lateness: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class StandardQueue:
    """An SQS standard queue: it delivers in any order, and sometimes twice.

    So the body itself says what is ordered: ``group`` names the member that holds the entity, ``sequence`` the one
    that holds the producer's own count within the group, a whole number of 0 or more. Without a sequence the event
    time orders, and of equal times the event id.
    """

    name: str
    event_id: str
    event_time: str
    group: str
    sequence: str | None = None
    lateness: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Stream:
    """A Kinesis stream: ordered within a partition key, which is the group. Its records stay until retention ends."""

    name: str
    event_id: str
    event_time: str
    lateness: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Marker:
    """A dropped partition is complete once an object of this name stands in its folder."""

    name: str = "_SUCCESS"


@dataclass(frozen=True)
class Drops:
    """CSV or Parquet objects that someone else puts under ``<prefix>dt=…/`` in the pipeline's bucket."""

    name: str
    prefix: str
    complete: Marker = field(default_factory=Marker)


Queue = FifoQueue | StandardQueue
EventSource = Queue | Stream
Source = EventSource | Drops
