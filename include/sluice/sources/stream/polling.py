"""Reads shards by GetRecords, within the limits that all readers of a shard share.

These are 5 reads and 2 MiB a second (Kinesis developer guide, "Quotas and limits").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code
from sluice.sources.stream.shards import KinesisStream, Place, ShardBatch, as_many_as_fit

if TYPE_CHECKING:
    from collections.abc import Generator

_EXPIRED = "ExpiredIteratorException"


@dataclass(frozen=True)
class Polling:
    """Reads the shards of a stream by GetRecords. Thread-safe.

    Args:
        stream: The stream at AWS.
        reads_per_second: How often each shard is read at most.
    """

    stream: KinesisStream
    reads_per_second: int = 1

    def batches(
        self,
        shard: str,
        place: Place,
        now: Callable[[], datetime],
        stop: Event,
        most: Callable[[], int] = as_many_as_fit,
    ) -> Generator[ShardBatch, None, None]:
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
        iterator: str | None = self.stream.iterator(shard, place)
        while iterator is not None and not stop.is_set():
            requested_at, started = now(), time.monotonic()
            try:
                response = self.stream.get(iterator, most())
            except ClientError as error:
                if error_code(error) != _EXPIRED:
                    raise
                # A new iterator can't have expired, so an error of this read is raised.
                response = self.stream.get(self.stream.iterator(shard, place), most())
            records, behind = response["Records"], response["MillisBehindLatest"]
            if records:
                place = Place(after=records[-1]["SequenceNumber"])
            iterator = response.get("NextShardIterator")
            read_until = requested_at - timedelta(milliseconds=behind)
            yield ShardBatch(records, read_until, at_tip=behind == 0, ended=iterator is None)
            stop.wait(max(0.0, 1 / self.reads_per_second - (time.monotonic() - started)))
