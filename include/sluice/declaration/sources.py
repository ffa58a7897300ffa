"""Where events come from: what a user declares of each source. Values only, like the pipeline they are part of.

A kind of source is a class of these and a connector, which does the work (:mod:`sluice.sources.contract`). The class
names its connector, so nothing else has a list of the kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from sluice.declaration.checks import check_count, check_duration, check_text
from sluice.errors import DeclarationError

_MOST_LATE = timedelta(days=365)


@dataclass(frozen=True)
class Source:
    """What every source has: a name, which is the name of its raw dataset.

    ``kind`` is what people call it. ``connector`` is ``"module:Class"`` of what does the work; it is imported only
    where the work is done, because a declaration must be cheap to parse.
    """

    kind: ClassVar[str]
    connector: ClassVar[str]

    name: str

    @property
    def foreign_folders(self) -> tuple[str, ...]:
        """The prefixes in the pipeline's bucket under which others write for this source."""
        return ()

    @property
    def _where(self) -> str:
        return f"source {self.name}"


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

    def __post_init__(self) -> None:
        check_text(self._where, "event_id", self.event_id, "id")
        check_text(self._where, "event_time", self.event_time, "event_time")
        check_duration(self._where, "lateness", self.lateness, timedelta(0), _MOST_LATE)


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
        super().__post_init__()
        check_duration(self._where, "retention", self.retention, timedelta(minutes=1), self.longest_retention)
        check_duration(
            self._where, "visibility_timeout", self.visibility_timeout, timedelta(seconds=30), timedelta(hours=12)
        )
        check_count(self._where, "max_receives", self.max_receives, 1, 1000)


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
        super().__post_init__()
        check_count(self._where, "shards", self.shards, 1, 10_000)
        hour, day = timedelta(hours=1), timedelta(days=1)
        check_duration(self._where, "retention", self.retention, day, 365 * day, unit=hour)


@dataclass(frozen=True)
class Marker:
    """A dropped partition is complete once an object of this name stands in its folder."""

    name: str = "_SUCCESS"


@dataclass(frozen=True)
class Drops(Source):
    """CSV or Parquet objects that someone else puts under ``<prefix>dt=…/`` in the pipeline's bucket.

    Raises:
        DeclarationError: the prefix does not end with a slash, or begins with one; the marker is no object's name.
    """

    kind: ClassVar[str] = "drops"
    connector: ClassVar[str] = "sluice.sources.drops.connector:DropsConnector"

    prefix: str
    complete: Marker = field(default_factory=Marker)

    def __post_init__(self) -> None:
        check_text(self._where, "prefix", self.prefix, f"drops/{self.name}/")
        if not self.prefix.endswith("/") or self.prefix.startswith("/"):
            raise DeclarationError(
                f"{self._where}: prefix={self.prefix!r} must end with a slash and not begin with one; write it as "
                f"'drops/{self.name}/'"
            )
        check_text(self._where, "complete", self.complete.name, "_SUCCESS")
        if "/" in self.complete.name:
            raise DeclarationError(f"{self._where}: the marker {self.complete.name!r} must have no slash in its name")

    @property
    def foreign_folders(self) -> tuple[str, ...]:
        return (self.prefix,)
