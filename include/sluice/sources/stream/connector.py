"""The connector of Kinesis streams."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Event
from typing import Any

from sluice.aws.template import Fragment
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Stream
from sluice.errors import SluiceError
from sluice.landing.closing import Evidence
from sluice.landing.parts import Flush, Limits
from sluice.records.record import Record
from sluice.sending.lanes import Carrier
from sluice.sources.contract import EventConnector, Figures
from sluice.sources.stream.checkpoints import read_checkpoints
from sluice.sources.stream.progress import evidence_of_stream, shards_to_read, stream_backlog
from sluice.sources.stream.read import WindowRead, read_window
from sluice.sources.stream.records import record_from_kinesis
from sluice.sources.stream.send import StreamCarrier
from sluice.sources.stream.shards import Place, batches, list_shards, retention


class RangeTrimmed(SluiceError):
    """The stream has trimmed a part of the range to replay."""


class StreamConnector(EventConnector[Stream]):
    """A unit is a shard. Kinesis has no acknowledgement: a checkpoint moves once the records are in a recorded part."""

    @classmethod
    def template(cls, pipeline: Pipeline, source: Stream) -> Fragment:
        from sluice.sources.stream.template import stream_template  # slow to import, and no worker renders a template

        return stream_template(pipeline, source)

    @property
    def _kinesis(self) -> Any:
        return self.workspace.aws.client("kinesis")

    @property
    def _stream(self) -> str:
        return self.workspace.resources.made_for("streams", self.source.name)

    @property
    def awaited(self) -> str:
        return f"a record in the stream {self._stream}"

    def backlog(self) -> int:
        """In how many shards something waits to be read."""
        return stream_backlog(self._kinesis, self._stream, self.lake, self.source)

    def units(self, most: int) -> list[str]:
        """Every shard that may be read now, whatever ``most`` is. Records the gaps of shards that are gone."""
        return shards_to_read(self._kinesis, self._stream, self.lake, self.source)

    def drain(self, unit: str, limits: Limits, on_flush: Callable[[Flush], None], stop: Event) -> WindowRead:
        every = self.workspace.pipeline.every
        return read_window(
            self._kinesis, self._stream, unit, self.lake, self.source, every, limits, on_flush=on_flush, stop=stop
        )

    def evidence(self) -> Evidence:
        return evidence_of_stream(self._kinesis, self._stream, self.lake, self.source)

    def figures(self) -> Figures:
        """How far the stream has landed, by its checkpoints.

        All that arrived before ``read_until`` (UTC) is durable; ``read_lag_seconds`` is how long ago that was. Both are
        None before the first read. ``shards`` counts the shards that are being read, ``ended`` those that are read to
        their end. ``gaps`` counts how often retention trimmed records before they were read.
        """
        checkpoints = read_checkpoints(self.lake, self.source.name).values()
        read_until = min(
            (each.read_until for each in checkpoints if not each.ended and each.read_until is not None), default=None
        )
        return {
            "shards": sum(not each.ended for each in checkpoints),
            "ended": sum(each.ended for each in checkpoints),
            "read_until": read_until,
            "read_lag_seconds": None if read_until is None else (self.lake.now() - read_until).total_seconds(),
            "gaps": sum(len(each.gaps) for each in checkpoints),
        }

    def carrier(self) -> Carrier:
        return StreamCarrier(self._kinesis, self._stream)

    def post(self, record: Record, repeat_id: str) -> str:
        encoded = json.loads(record.attributes).get("encoding") == "base64"
        data = b64decode(record.body) if encoded else record.body.encode()
        sent = self._kinesis.put_record(StreamName=self._stream, PartitionKey=record.group, Data=data)
        return str(sent["SequenceNumber"])

    def replay_units(self, since: datetime) -> list[str]:
        """The shards of the stream.

        Raises:
            RangeTrimmed: the stream does not hold the range any more; nothing was read.
            MissingResource: there is no such stream.
        """
        held = retention(self._kinesis, self._stream, self.lake.now())
        if held.trimmed and since < held.horizon:
            raise RangeTrimmed(
                f"stream {self._stream} holds what arrived since {held.horizon.isoformat()}, and has trimmed what "
                f"arrived from {since.isoformat()} on; replay from there, or with origin 'raw'"
            )
        return [shard.id for shard in list_shards(self._kinesis, self._stream)]

    def arrived(self, unit: str, since: datetime, until: datetime) -> Iterator[list[Record]]:
        """The records that arrived in a shard in the range, batch by batch, up to now at the latest."""
        until = min(until, self.lake.now())
        for batch in batches(self._kinesis, self._stream, unit, Place(at=since), self.lake.now, Event()):
            records = [record_from_kinesis(record, unit, self.source) for record in batch.records]
            in_range = [record for record in records if record.sent_at <= until]
            yield in_range
            if len(in_range) < len(records) or batch.read_until >= until or (batch.at_tip and not records):
                return
