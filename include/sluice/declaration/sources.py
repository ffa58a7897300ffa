"""The sources that a user declares. Like all of a declaration, they are values only.

A source kind is one of these classes and a connector, which does the work (:mod:`sluice.sources.contract`). The class
names its connector, so there is no list of kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Literal, get_args

from typing_extensions import override

from sluice.declaration.checks import check_count, check_duration, check_text, check_tuple, check_unit, check_zone
from sluice.declaration.envelopes import Aggregated, Envelope
from sluice.errors import DeclarationError

Order = Literal["queue", "event_time"]

# What moves the watermark of a source of events.
Close = Literal["evidence", "event_time"]

_MOST_LATE = timedelta(days=365)

# How long the counters of a queue have to be zero before it counts as drained: twice as long as they may lag.
SETTLING = timedelta(minutes=2)


@dataclass(frozen=True)
class Source:
    """The base of all sources.

    Args:
        name: The name of the source and of its raw dataset: at most 24 of a-z, 0-9 and ``_``, starting with a letter.

    Attributes:
        kind: The name of the kind, such as ``queue``. The names of ingest DAGs have it.
        connector: ``"module:Class"`` of the connector. It is imported only when the source is used, because a
            declaration must be cheap to parse.
        reader: ``"module:function"`` of the function that reads a landed object for a step, ``(source, file, body) ->
            table``; None for a source that only a ``Conform`` step reads.
    """

    kind: ClassVar[str]
    connector: ClassVar[str]
    reader: ClassVar[str | None] = None

    name: str

    @property
    def foreign_folders(self) -> tuple[str, ...]:
        """The prefixes in the pipeline's bucket under which others write objects for this source."""
        return ()

    @property
    def _where(self) -> str:
        return f"source {self.name}"


@dataclass(frozen=True)
class EventSource(Source):
    """A source of single events, which an ingest DAG lands and a ``Conform`` step reads.

    Args:
        event_id: The member of the JSON body that has the event's id.
        event_time: The member of the JSON body that has the event's time.
        lateness: How long after its time an event may be sent, in whole seconds, up to 365 days. The watermark trails
            by as much. A longer one closes partitions later; a shorter one makes late revisions of more partitions.
        close: What moves the watermark. ``evidence``: the moment up to which everything that was sent has landed; so
            nothing closes while more waits. ``event_time``: also the event time that most events of several flushes
            agree on, for a source that always has a backlog.
        event_time_unit: ``s``, ``ms``, ``us`` or ``ns``: what times that are numbers, or digits as text, count since
            1970-01-01T00:00:00Z; None if times are never numbers. It holds for the times of the contract as well.
        event_time_zone: The IANA name of the zone of times without an offset, such as ``Europe/Berlin``; None if all
            times have an offset. It holds for the times of the contract as well.
        unwrap: The envelopes and encodings around the events, in the order in which they are taken off: those of what
            delivers last come first, as in ``(Sns(), S3Notification())``.

    Attributes:
        keeps_arrivals: Whether the kind can be replayed by time of arrival, as far as its retention reaches.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    keeps_arrivals: ClassVar[bool] = False

    event_id: str
    event_time: str
    lateness: timedelta = field(default=timedelta(hours=1), kw_only=True)
    close: Close = field(default="evidence", kw_only=True)
    event_time_unit: str | None = field(default=None, kw_only=True)
    event_time_zone: str | None = field(default=None, kw_only=True)
    unwrap: tuple[Envelope, ...] = field(default=(), kw_only=True)

    @property
    def envelopes(self) -> tuple[Envelope, ...]:
        """What is taken off each message, in this order."""
        return self.unwrap

    def __post_init__(self) -> None:
        check_text(self._where, "event_id", self.event_id, "id")
        check_text(self._where, "event_time", self.event_time, "event_time")
        check_unit(self._where, "event_time_unit", self.event_time_unit)
        check_zone(self._where, "event_time_zone", self.event_time_zone)
        if self.unwrap != ():
            check_tuple(self._where, "unwrap", self.unwrap, Envelope, "Sns()")
        check_duration(self._where, "lateness", self.lateness, timedelta(0), _MOST_LATE)
        if self.close not in get_args(Close):
            raise DeclarationError(
                f"{self._where}: close={self.close!r} is none of {', '.join(get_args(Close))}; write it as 'evidence'"
            )


@dataclass(frozen=True)
class Queue(EventSource):
    """The base of FIFO and standard queues.

    Args:
        retention: How long the queue keeps a message, in whole seconds from one minute. The dead-letter queue keeps it
            for 14 days, the most that SQS allows, so ``retention`` must be shorter.
        visibility_timeout: How long a received message is hidden from other readers, in whole seconds from 30 seconds
            to 12 hours. After a crash of a drain the message's group waits for this long.
        max_receives: How often a message is received before SQS moves it to the dead-letter queue, 1 to 1,000.

    Attributes:
        longest_retention: The longest ``retention`` that the kind allows.

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

    ``retention`` is at most 13 days, which is also its default. The age of a message starts again at 0 when SQS moves
    it to the dead-letter queue.

    Args:
        order: ``queue``: the events of a group are in the order in which they were sent. ``event_time``: in the order
            of their event times, and those of equal time in the order of their event ids. That is for senders that are
            not in order within a group. A wrong clock then puts an event in a wrong place.

    Raises:
        DeclarationError: the order is another one.
    """

    connector: ClassVar[str] = "sluice.sources.queue.connector:FifoQueueConnector"
    longest_retention: ClassVar[timedelta] = timedelta(days=13)

    retention: timedelta = field(default=timedelta(days=13), kw_only=True)
    order: Order = field(default="queue", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in get_args(Order):
            raise DeclarationError(f"{self._where}: order={self.order!r} must be 'queue' or 'event_time'")


@dataclass(frozen=True)
class StandardQueue(Queue):
    """An SQS standard queue: it delivers in any order, and sometimes twice. So the order is in the body.

    ``retention`` is at most 7 days, which is also its default. A message keeps its age when SQS moves it to the
    dead-letter queue (SQS developer guide, "Dead-letter queues and message retention"), so it stays there for at least
    7 days.

    Args:
        group: The member of the JSON body that has the entity whose events are ordered.
        sequence: The member that has the producer's own count within the group, a whole number of 0 or more. None:
            events are ordered by event time, and those of equal time by event id.
    """

    connector: ClassVar[str] = "sluice.sources.queue.connector:StandardQueueConnector"
    longest_retention: ClassVar[timedelta] = timedelta(days=7)

    group: str
    sequence: str | None = None
    retention: timedelta = field(default=timedelta(days=7), kw_only=True)


@dataclass(frozen=True)
class Stream(EventSource):
    """A Kinesis stream: ordered within a partition key, which is the group. Its records stay until retention ends.

    Records that the Kinesis Producer Library has packed into one are taken out of it, each with its own partition key.

    Args:
        shards: How many shards the stream has, 1 to 10,000; each takes 1 MiB or 1,000 records a second. None: the
            stream is on demand, and Kinesis adds shards as they are needed; AWS bills it by what it takes.
        retention: How long the stream keeps a record, in whole hours from 24 hours to 365 days. AWS bills more than 24
            hours. With the default of a week, an outage over a long weekend loses nothing.
        reads_per_second: How often each shard is read, 1 to 5. All readers of a shard share five reads a second, so
            the default leaves four to others.
        fan_out: Whether the stream is read by enhanced fan-out: Kinesis pushes 2 MiB a second of each shard to a
            consumer of the pipeline's own, whatever others read. AWS bills the consumer by the hour and shard, and by
            what it reads.

    Raises:
        DeclarationError: one of these is out of its range, or ``reads_per_second`` is set although nothing is polled.
    """

    kind: ClassVar[str] = "stream"
    connector: ClassVar[str] = "sluice.sources.stream.connector:StreamConnector"
    keeps_arrivals: ClassVar[bool] = True

    shards: int | None = field(default=1, kw_only=True)
    retention: timedelta = field(default=timedelta(days=7), kw_only=True)
    reads_per_second: int = field(default=1, kw_only=True)
    fan_out: bool = field(default=False, kw_only=True)

    @property
    @override
    def envelopes(self) -> tuple[Envelope, ...]:
        return (Aggregated(), *self.unwrap)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shards is not None:
            check_count(self._where, "shards", self.shards, 1, 10_000)
        check_count(self._where, "reads_per_second", self.reads_per_second, 1, 5)
        if not isinstance(self.fan_out, bool):
            raise DeclarationError(f"{self._where}: fan_out={self.fan_out!r} must be True or False")
        if self.fan_out and self.reads_per_second != 1:
            raise DeclarationError(
                f"{self._where}: reads_per_second={self.reads_per_second} has no effect with fan_out=True, because "
                f"Kinesis pushes the records; leave one of them out"
            )
        hour, day = timedelta(hours=1), timedelta(days=1)
        check_duration(self._where, "retention", self.retention, day, 365 * day, unit=hour)
