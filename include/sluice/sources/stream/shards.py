"""The calls of one Kinesis stream: list its shards, and read their records batch by batch, within Kinesis's limits.

All readers of a shard share 5 reads and 2 MiB a second (Kinesis developer guide, "Quotas and limits").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code, is_absent, is_throttled
from sluice.aws.retrying import retrying
from sluice.errors import MissingResource

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import RecordTypeDef

MOST_RECORDS = 10_000  # in one read
_ATTEMPTS = 8
_EXPIRED = "ExpiredIteratorException"


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
        horizon: Records that arrived after this moment (UTC) are there.
        trimmed: Whether older records were trimmed; False if the stream is younger than its retention period.
    """

    horizon: datetime
    trimmed: bool


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
    """The records of one read of a shard.

    Attributes:
        records: The records as GetRecords returns them.
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
        reads_per_second: How often each shard is read at most.
    """

    kinesis: KinesisClient
    name: str
    reads_per_second: int = 1

    def list_shards(self) -> list[Shard]:
        """List every shard that the stream holds, by id.

        Raises:
            MissingResource: there is no such stream.
        """
        found: list[Shard] = []
        request: Any = {"StreamName": self.name}
        while request:
            response = self._named_if_gone(partial(self.kinesis.list_shards, **request))
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
        response = self._named_if_gone(lambda: self.kinesis.describe_stream_summary(StreamName=self.name))
        summary = response["StreamDescriptionSummary"]
        horizon = now - timedelta(hours=summary["RetentionPeriodHours"])
        return Retention(horizon, trimmed=summary["StreamCreationTimestamp"] < horizon)

    def peek(self, shard: str, place: Place) -> bool:
        """Return whether a record, or the end of the shard, waits after a place. One record is read.

        Args:
            shard: The id of the shard.
            place: Where to begin.

        Raises:
            MissingResource: there is no such stream or shard.
        """
        response = self._get(self._iterator(shard, place), 1)
        return bool(response["Records"]) or response["MillisBehindLatest"] > 0 or "NextShardIterator" not in response

    def batches(
        self,
        shard: str,
        place: Place,
        now: Callable[[], datetime],
        stop: Event,
        most: Callable[[], int] = lambda: MOST_RECORDS,
    ) -> Iterator[ShardBatch]:
        """Read a shard from a place on, until it ends or ``stop`` is set.

        An iterator expires after five minutes. A new one then continues after the last record.

        Args:
            shard: The id of the shard.
            place: Where to begin.
            now: Returns the current time (UTC).
            stop: Set it to end before the next read.
            most: Called before each read; returns how many records it may return at most.

        Yields:
            A batch for each read. It may be empty.

        Raises:
            MissingResource: there is no such stream or shard.
            ClientError: Kinesis refused eight times in a row.
        """
        iterator: str | None = self._iterator(shard, place)
        while iterator is not None and not stop.is_set():
            requested_at, started = now(), time.monotonic()
            try:
                response = self._get(iterator, most())
            except ClientError as error:
                if error_code(error) != _EXPIRED:
                    raise
                # A new iterator can't have expired, so an error of this read is raised.
                response = self._get(self._iterator(shard, place), most())
            records, behind = response["Records"], response["MillisBehindLatest"]
            if records:
                place = Place(after=records[-1]["SequenceNumber"])
            iterator = response.get("NextShardIterator")
            read_until = requested_at - timedelta(milliseconds=behind)
            yield ShardBatch(records, read_until, at_tip=behind == 0, ended=iterator is None)
            stop.wait(max(0.0, 1 / self.reads_per_second - (time.monotonic() - started)))

    def _iterator(self, shard: str, place: Place) -> str:
        where: Any = {"ShardIteratorType": "TRIM_HORIZON"}
        if place.after is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": place.after}
        elif place.at is not None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": place.at}
        get = partial(self.kinesis.get_shard_iterator, StreamName=self.name, ShardId=shard, **where)
        iterator: str = self._named_if_gone(lambda: _retry_throttled(get))["ShardIterator"]
        return iterator

    def _get(self, iterator: str, most: int) -> Any:
        get = partial(self.kinesis.get_records, ShardIterator=iterator, Limit=min(most, MOST_RECORDS))
        return _retry_throttled(get)

    def _named_if_gone(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ClientError as error:
            if not is_absent(error):
                raise
            raise MissingResource(
                f"stream {self.name} or its shard is gone; make the stream again as `sluice provision --dry-run` "
                f"prints it for its pipeline, or, if it was resharded, run the ingest again"
            ) from error


def _retry_throttled(call: Callable[[], Any]) -> Any:
    """Retry a throttled call. Other readers share the limits, and a read of 10 MiB uses up the next five seconds."""
    return retrying(is_throttled, attempts=_ATTEMPTS, first=0.5, longest=5)(call)
