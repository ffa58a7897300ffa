"""The calls of one Kinesis stream, and the protocol of what reads its shards batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent, is_throttled
from sluice.aws.retrying import retrying
from sluice.errors import MissingResource

if TYPE_CHECKING:
    from collections.abc import Generator

    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import RecordTypeDef

MOST_RECORDS = 10_000  # in one read
_ATTEMPTS = 8


@dataclass(frozen=True)
class Shard:
    """A shard that the stream still holds.

    Attributes:
        id: The id of the shard.
        parents: The ids of the shards that were split or merged into it. They may be gone already.
        is_open: Whether it still accepts records.
    """

    id: str
    parents: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True)
class Retention:
    """What a stream still holds.

    Attributes:
        created: When the stream was made (UTC), in whole seconds. It tells one that is made again under its name.
        horizon: Records that arrived after this moment (UTC) are there.
    """

    created: datetime
    horizon: datetime

    @property
    def trimmed(self) -> bool:
        """Whether older records were trimmed; False if the stream is younger than its retention period."""
        return self.created < self.horizon


@dataclass(frozen=True)
class Place:
    """Where to begin in a shard; without a value, at its first record.

    Args:
        after: Begin after this sequence number.
        at: Begin at this time of arrival (UTC), if ``after`` is None.
    """

    after: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class ShardBatch:
    """The next records of a shard.

    Attributes:
        records: The records as Kinesis returns them.
        read_until: All records that arrived up to this moment (UTC) are in this batch or an earlier one.
        at_tip: Whether no more records waited at that moment.
        ended: Whether the shard is closed and this is its last batch.
    """

    records: Sequence[RecordTypeDef]
    read_until: datetime
    at_tip: bool
    ended: bool


@dataclass(frozen=True)
class KinesisStream:
    """One stream. Thread-safe.

    Args:
        kinesis: A client of Kinesis.
        name: The name of the stream at AWS.
    """

    kinesis: KinesisClient
    name: str

    def list_shards(self) -> list[Shard]:
        """List every shard that the stream holds, by id.

        Raises:
            MissingResource: there is no such stream.
        """
        found: list[Shard] = []
        request: Any = {"StreamName": self.name}
        while request:
            response = self.named_if_gone(partial(self.kinesis.list_shards, **request))
            for shard in response["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                is_open = "EndingSequenceNumber" not in shard["SequenceNumberRange"]
                found.append(Shard(shard["ShardId"], tuple(filter(None, parents)), is_open))
            # Kinesis refuses a token together with the stream's name.
            request = {"NextToken": response["NextToken"]} if "NextToken" in response else None
        return sorted(found, key=lambda shard: shard.id)

    def retention(self, now: datetime) -> Retention:
        """Return what the stream holds now, by its retention period and its age.

        Args:
            now: The current time (UTC).

        Raises:
            MissingResource: there is no such stream.
        """
        response = self.named_if_gone(lambda: self.kinesis.describe_stream_summary(StreamName=self.name))
        summary = response["StreamDescriptionSummary"]
        created = summary["StreamCreationTimestamp"].astimezone(UTC)
        return Retention(created, horizon=now - timedelta(hours=summary["RetentionPeriodHours"]))

    def peek(self, shard: str, place: Place) -> bool:
        """Return whether a record, or the end of the shard, waits after a place. One record is read.

        Args:
            shard: The id of the shard.
            place: Where to begin.

        Raises:
            MissingResource: there is no such stream or shard.
        """
        response = self.get(self.iterator(shard, place), 1)
        return bool(response["Records"]) or response["MillisBehindLatest"] > 0 or "NextShardIterator" not in response

    def iterator(self, shard: str, place: Place) -> str:
        """Return an iterator of a shard, for :meth:`get`.

        Args:
            shard: The id of the shard.
            place: Where to begin.

        Raises:
            MissingResource: there is no such stream or shard.
        """
        where: Any = {"ShardIteratorType": "TRIM_HORIZON"}
        if place.after is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": place.after}
        elif place.at is not None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": place.at}
        get = partial(self.kinesis.get_shard_iterator, StreamName=self.name, ShardId=shard, **where)
        iterator: str = self.named_if_gone(lambda: _retry_throttled(get))["ShardIterator"]
        return iterator

    def get(self, iterator: str, most: int) -> Any:
        """Return the response to GetRecords, which is retried while other readers use up the limits.

        Args:
            iterator: An iterator of the shard.
            most: The most records.
        """
        get = partial(self.kinesis.get_records, ShardIterator=iterator, Limit=min(most, MOST_RECORDS))
        return _retry_throttled(get)

    def named_if_gone(self, call: Callable[[], Any]) -> Any:
        """Make a call, and name the stream if it or the shard is gone.

        Args:
            call: The call.

        Raises:
            MissingResource: there is no such stream or shard.
        """
        try:
            return call()
        except ClientError as error:
            if not is_absent(error):
                raise
            raise self.gone() from error

    def gone(self) -> MissingResource:
        """Return the error that says that the stream or its shard is gone."""
        return MissingResource(
            f"stream {self.name} or its shard is gone; make the stream again as `sluice provision --dry-run` "
            f"prints it for its pipeline, or, if it was resharded, run the ingest again"
        )


def as_many_as_fit() -> int:
    """Return the most records that a batch may have if nothing else limits it."""
    return MOST_RECORDS


class ShardReader(Protocol):
    """A way to read shards. Each way begins at the same places and yields the same records in the same order.

    So another way may go on where one has ended.
    """

    @property
    def stream(self) -> KinesisStream:
        """The stream at AWS."""
        ...

    def batches(
        self,
        shard: str,
        place: Place,
        now: Callable[[], datetime],
        stop: Event,
        most: Callable[[], int] = as_many_as_fit,
    ) -> Generator[ShardBatch, None, None]:
        """Read a shard from a place on, until it ends or ``stop`` is set; close the generator to end earlier.

        Args:
            shard: The id of the shard.
            place: Where to begin.
            now: Returns the current time (UTC).
            stop: Set it to end soon.
            most: Called before each batch; returns how many records it may have at most.

        Yields:
            The next records. A batch may be empty.

        Raises:
            MissingResource: there is no such stream or shard.
        """
        ...


def _retry_throttled(call: Callable[[], Any]) -> Any:
    """Retry a throttled call. Other readers share the limits, and a read of 10 MiB uses up the next five seconds."""
    return retrying(is_throttled, attempts=_ATTEMPTS, first=0.5, longest=5)(call)
