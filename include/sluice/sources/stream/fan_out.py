"""Reads shards by enhanced fan-out: Kinesis pushes the records of a shard to a registered consumer.

A consumer has 2 MiB a second of each shard for itself. A subscription lives for five minutes at most, and there may be
one call a second for each consumer and shard. Within five seconds after a call that succeeded another one is refused;
later it takes the subscription over (Kinesis API reference, SubscribeToShard).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, EventStreamError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from sluice.aws.failures import error_code, is_absent, is_throttled, is_transient
from sluice.aws.retrying import retrying
from sluice.errors import MissingResource, SluiceError
from sluice.sources.stream.shards import KinesisStream, Place, ShardBatch, as_many_as_fit

if TYPE_CHECKING:
    from collections.abc import Generator

    from mypy_boto3_kinesis.type_defs import SubscribeToShardEventTypeDef

_LOG = logging.getLogger(__name__)

# A refusal lasts for five seconds, and a new consumer is being created for some more: these take about 25 seconds.
_ATTEMPTS = 12
# Kinesis sends an event every five seconds even if nothing arrives. So many subscriptions without one are a fault.
_MOST_SILENT = 4
_PAUSE_SECONDS = 1.0
_IN_USE = "ResourceInUseException"


class NotSubscribed(SluiceError):
    """Kinesis gave no subscription to a shard, or sent nothing by it."""


class _TakenOver(Exception):
    """Another reader has taken the subscription over."""


class _Broken(Exception):
    """A subscription ended early for a reason that passes by itself, which is the cause."""


@dataclass(frozen=True)
class FanOut:
    """Reads the shards of a stream by subscriptions of a consumer. Thread-safe.

    Args:
        stream: The stream at AWS.
        consumer: The ARN under which the consumer was first registered.
    """

    stream: KinesisStream
    consumer: str

    def batches(
        self,
        shard: str,
        place: Place,
        now: Callable[[], datetime],
        stop: Event,
        most: Callable[[], int] = as_many_as_fit,
    ) -> Generator[ShardBatch, None, None]:
        """Read a shard from a place on, until it ends, ``stop`` is set, or another reader subscribes to it.

        A subscription that ends is renewed after the last ContinuationSequenceNumber.

        Args:
            shard: The id of the shard.
            place: Where to begin.
            now: Returns the current time (UTC).
            stop: Set it to end after the next event, which comes within five seconds.
            most: Called before each batch; returns how many records it may have at most.

        Yields:
            A batch for each event, or several if it holds more than ``most``. It may be empty.

        Raises:
            MissingResource: there is no such stream, shard or consumer.
            NotSubscribed: Kinesis refused twelve times in a row, or sent nothing by four subscriptions in a row.
        """
        consumer, silent, cause = self._registered(), 0, None
        while not stop.is_set():
            try:
                with closing(self._events(consumer, shard, place, now)) as events:
                    for made_at, event in events:
                        silent = 0
                        yield from _batches_of(event, made_at, most)
                        if _is_last(event) or stop.is_set():
                            return
                        place = Place(after=event["ContinuationSequenceNumber"])
            except _TakenOver:
                _LOG.warning(
                    "stream %s, shard %s: another reader has subscribed as consumer %s; this read ends, and that one "
                    "goes on",
                    *(self.stream.name, shard, consumer),
                )
                return
            except _Broken as broken:
                cause = broken.__cause__
            silent += 1
            if silent >= _MOST_SILENT:
                raise NotSubscribed(
                    f"stream {self.stream.name}, shard {shard}: {silent} subscriptions of consumer {consumer} in a row "
                    f"brought nothing (the last: {cause or 'no event'}); check the network to Kinesis, and run the "
                    f"ingest again"
                ) from cause
            stop.wait(_PAUSE_SECONDS)

    def _events(
        self, consumer: str, shard: str, place: Place, now: Callable[[], datetime]
    ) -> Generator[tuple[datetime, SubscribeToShardEventTypeDef], None, None]:
        """Yield the events of one subscription, each with a moment (UTC) at which it was not made yet.

        An event has no time of its own, and may have waited in the connection while others were written. But it was
        made after the subscription began, and after its records arrived.
        """
        try:
            made_at, subscription = self._subscribe(consumer, shard, place, now)
            with closing(subscription) as stream:
                for each in stream:
                    event = each["SubscribeToShardEvent"]
                    made_at = max([made_at, *(_arrival(record) for record in event["Records"])])
                    yield made_at, event
        except (HTTPError, ResponseParserError) as error:  # botocore does not translate what happens to an open stream
            raise _Broken from error
        except EventStreamError as error:
            if error_code(error) == _IN_USE:
                raise _TakenOver from error
            if is_absent(error):
                raise self.stream.gone() from error
            if not is_transient(error):
                raise
            raise _Broken from error

    def _subscribe(self, consumer: str, shard: str, place: Place, now: Callable[[], datetime]) -> tuple[datetime, Any]:
        """Return a subscription, and a moment (UTC) before it."""

        def subscribe() -> tuple[datetime, Any]:
            before = now()
            made = self.stream.kinesis.subscribe_to_shard(
                ConsumerARN=consumer, ShardId=shard, StartingPosition=_position(place)
            )
            return before, made["EventStream"]

        patient = retrying(_is_refused_for_now, attempts=_ATTEMPTS, first=1, longest=5)
        try:
            made: tuple[datetime, Any] = self.stream.named_if_gone(lambda: patient(subscribe))
        except ClientError as error:
            if error_code(error) != _IN_USE:
                raise
            raise NotSubscribed(
                f"stream {self.stream.name}, shard {shard}: Kinesis refuses consumer {consumer} for the time being "
                f"({error}); let no other program subscribe as this consumer, and run the ingest again"
            ) from error
        return made

    def _registered(self) -> str:
        """Return the ARN of the consumer as it is registered now: ARNs contain the time of registration.

        Raises:
            MissingResource: the stream has no such consumer.
        """
        stream, _, name = self.consumer.rpartition(":")[0].partition("/consumer/")
        try:
            found = self.stream.kinesis.describe_stream_consumer(StreamARN=stream, ConsumerName=name)
        except ClientError as error:
            if not is_absent(error):
                raise
            raise MissingResource(
                f"stream {self.stream.name} has no consumer {name}, as a stream that was made again has none; run `aws "
                f"kinesis register-stream-consumer --stream-arn {stream} --consumer-name {name}`"
            ) from error
        return found["ConsumerDescription"]["ConsumerARN"]


def _batches_of(
    event: SubscribeToShardEventTypeDef, made_at: datetime, most: Callable[[], int]
) -> Iterator[ShardBatch]:
    records, behind = event["Records"], event["MillisBehindLatest"]
    read_until = made_at - timedelta(milliseconds=behind)
    while len(records) > (room := most()):
        taken, records = records[:room], records[room:]
        yield ShardBatch(taken, min(read_until, _arrival(records[0])), at_tip=False, ended=False)
    yield ShardBatch(records, read_until, at_tip=behind == 0, ended=_is_last(event))


def _is_last(event: SubscribeToShardEventTypeDef) -> bool:
    """Return whether the shard ends with an event: only then it names children, and no place to continue."""
    return bool(event.get("ChildShards")) or not event.get("ContinuationSequenceNumber")


def _arrival(record: Mapping[str, Any]) -> datetime:
    arrived: datetime = record["ApproximateArrivalTimestamp"]
    return arrived.astimezone(UTC)


def _position(place: Place) -> Any:
    if place.after is not None:
        return {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": place.after}
    return {"Type": "TRIM_HORIZON"} if place.at is None else {"Type": "AT_TIMESTAMP", "Timestamp": place.at}


def _is_refused_for_now(error: BaseException) -> bool:
    return is_throttled(error) or (isinstance(error, ClientError) and error_code(error) == _IN_USE)
