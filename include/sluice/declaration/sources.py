"""Where events come from: what a user declares of each source. Values only, like the pipeline they are part of.

A kind of source is a class of these and a connector, which does the work (:mod:`sluice.sources.contract`). The class
names its connector, so nothing else has a list of the kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar


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
class FifoQueue(EventSource):
    """An SQS FIFO queue: ordered within a message group, at most 10 messages a receive."""

    kind: ClassVar[str] = "queue"
    connector: ClassVar[str] = "sluice.sources.queue.connector:FifoQueueConnector"


@dataclass(frozen=True)
class StandardQueue(EventSource):
    """An SQS standard queue: it delivers in any order, and sometimes twice.

    So the body itself says what is ordered: ``group`` names the member that holds the entity, ``sequence`` the one
    that holds the producer's own count within the group, a whole number of 0 or more. Without a sequence the event
    time orders, and of equal times the event id.
    """

    kind: ClassVar[str] = "queue"
    connector: ClassVar[str] = "sluice.sources.queue.connector:StandardQueueConnector"

    group: str
    sequence: str | None = None


@dataclass(frozen=True)
class Stream(EventSource):
    """A Kinesis stream: ordered within a partition key, which is the group. Its records stay until retention ends."""

    kind: ClassVar[str] = "stream"
    connector: ClassVar[str] = "sluice.sources.stream.connector:StreamConnector"
    keeps_arrivals: ClassVar[bool] = True


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
