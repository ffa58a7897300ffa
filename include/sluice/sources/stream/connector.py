"""The connector of Kinesis streams."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from typing_extensions import override

from sluice.aws.template import Fragment
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Stream
from sluice.errors import SluiceError
from sluice.landing.closing import Evidence
from sluice.landing.parts import Flush, Limits
from sluice.records.record import Record, content_of
from sluice.sending.lanes import Sender
from sluice.sources.contract import EventConnector, Figures
from sluice.sources.stream.checkpoints import Checkpoint, of_latest_stream, read_checkpoints
from sluice.sources.stream.fan_out import FanOut
from sluice.sources.stream.polling import Polling
from sluice.sources.stream.progress import evidence_of_stream, shards_to_read, stream_backlog
from sluice.sources.stream.read import WindowRead, read_window
from sluice.sources.stream.records import delivery_of
from sluice.sources.stream.send import StreamSender
from sluice.sources.stream.shards import KinesisStream, Place, ShardReader


class RangeTrimmed(SluiceError):
    """The stream has trimmed a part of the range to replay."""


class StreamConnector(EventConnector[Stream]):
    """The connector of a stream. A unit is a shard.

    Kinesis has no acknowledgement: a checkpoint moves once the records are in a recorded part.
    """

    @classmethod
    @override
    def template(cls, pipeline: Pipeline, source: Stream) -> Fragment:
        from sluice.sources.stream.template import stream_template  # slow to import, and no worker renders a template

        return stream_template(pipeline, source)

    @property
    def _stream(self) -> KinesisStream:
        name = self.workspace.resources.made_for("streams", self.source.name)
        return KinesisStream(self.workspace.aws.client("kinesis"), name)

    @property
    def _polling(self) -> Polling:
        return Polling(self._stream, self.source.reads_per_second)

    @property
    def _reader(self) -> ShardReader:
        """How the declaration says that shards are read."""
        if not self.source.fan_out:
            return self._polling
        return FanOut(self._stream, self.workspace.resources.made_for("consumers", self.source.name))

    @property
    @override
    def awaited(self) -> str:
        return f"a record in the stream {self._stream.name}"

    @override
    def backlog(self) -> int:
        """Return in how many shards something waits to be read."""
        return stream_backlog(self._stream, self.lake, self.source)

    @override
    def units(self, most: int) -> list[str]:
        """Return every shard that may be read now; ``most`` does not limit them.

        First it is recorded if the stream was made again, or has gaps of shards that are gone.
        """
        return shards_to_read(self._stream, self.lake, self.source)

    @override
    def drain(self, unit: str, limits: Limits, on_flush: Callable[[Flush], None], stop: Event) -> WindowRead:
        return read_window(self._reader, unit, self.read, self.landing, limits, on_flush=on_flush, stop=stop)

    def read(self, record: Mapping[str, Any], shard_id: str) -> list[Record]:
        """Make the records of a Kinesis record.

        Args:
            record: The record as GetRecords returns it.
            shard_id: The id of the shard that it was read from.
        """
        return self.records(delivery_of(record, shard_id))

    @override
    def evidence(self, settling: timedelta) -> Evidence:
        return evidence_of_stream(self._stream, self.lake, self.source)

    @override
    def figures(self) -> Figures:
        """Return how far the stream has landed, by its checkpoints.

        Everything that arrived before ``read_until`` (UTC) is durable; ``read_lag_seconds`` is how long ago that was.
        Both are None before the first read. ``shards`` counts the shards that are being read, ``ended`` those that are
        read to their end. ``gaps`` counts how often the stream trimmed records before they were read.
        """
        checkpoints = self._checkpoints()
        read_until = _read_until(checkpoints)
        return {
            "shards": sum(not each.ended for each in checkpoints),
            "ended": sum(each.ended for each in checkpoints),
            "read_until": read_until,
            "read_lag_seconds": None if read_until is None else (self.lake.now() - read_until).total_seconds(),
            "gaps": sum(len(each.gaps) for each in checkpoints),
        }

    @override
    def oldest(self) -> timedelta | None:
        """Return how long ago the moment is up to which the stream is durable: no event that waits is older."""
        if not self.backlog():
            return None
        read_until = _read_until(self._checkpoints())
        return None if read_until is None else self.lake.now() - read_until

    def _checkpoints(self) -> Collection[Checkpoint]:
        return of_latest_stream(read_checkpoints(self.lake, self.source.name)).values()

    @override
    def sender(self) -> Sender:
        return StreamSender(self._stream)

    @override
    def post(self, record: Record, repeat_id: str) -> str:
        content, stream = content_of(record), self._stream
        data = content.encode() if isinstance(content, str) else content
        sent = stream.kinesis.put_record(StreamName=stream.name, PartitionKey=record.group, Data=data)
        return str(sent["SequenceNumber"])

    @override
    def replay_units(self, since: datetime) -> list[str]:
        """Return the shards of the stream.

        Raises:
            RangeTrimmed: the stream does not hold the range any more; nothing was read.
            MissingResource: there is no such stream.
        """
        stream = self._stream
        held = stream.retention(self.lake.now())
        if held.trimmed and since < held.horizon:
            horizon = held.horizon.isoformat()
            raise RangeTrimmed(
                f"stream {stream.name}: records that arrived before {horizon} are trimmed, and the range starts at "
                f"{since.isoformat()}; replay from {horizon}, or with origin 'raw'"
            )
        return [shard.id for shard in stream.list_shards()]

    @override
    def arrived(self, unit: str, since: datetime, until: datetime) -> Iterator[list[Record]]:
        """Yield the records that arrived in a shard in the range, batch by batch, up to now at the latest.

        They are polled even if the source has a consumer, whose subscription would be taken over from the ingest.

        Args:
            unit: The id of the shard.
            since: The first time of arrival (UTC).
            until: The last time of arrival (UTC), included.
        """
        until = min(until, self.lake.now())
        for batch in self._polling.batches(unit, Place(at=since), self.lake.now, Event()):
            records = [each for record in batch.records for each in self.read(record, unit)]
            in_range = [record for record in records if record.sent_at <= until]
            yield in_range
            if len(in_range) < len(records) or batch.read_until >= until or (batch.at_tip and not records):
                return


def _read_until(checkpoints: Iterable[Checkpoint]) -> datetime | None:
    """Return the moment before which everything that arrived is durable; None before the first read."""
    being_read = (each.read_until for each in checkpoints if not each.ended)
    return min((moment for moment in being_read if moment is not None), default=None)
