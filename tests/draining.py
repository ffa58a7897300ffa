"""Sending to queues, and landing from queues and streams, without a provisioned pipeline; and a workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource, FifoQueue, Source, StandardQueue, Stream
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence
from sluice.landing.parts import Landing, Limits
from sluice.records.body import Body
from sluice.records.payloads import Payloads
from sluice.records.record import Record
from sluice.records.unpacking import Unpacker
from sluice.sending.lanes import Event, send_events
from sluice.sources.queue import drain as engine
from sluice.sources.queue.messages import Message, MessageQueue
from sluice.sources.queue.records import delivery_of, place_in_fifo, place_in_standard
from sluice.sources.queue.send import QueueSender
from sluice.sources.stream.polling import Polling
from sluice.sources.stream.progress import shards_to_read
from sluice.sources.stream.read import WindowRead, read_window
from sluice.sources.stream.records import delivery_of as delivery_of_kinesis
from sluice.sources.stream.shards import KinesisStream
from sluice.workspace import Workspace

Queue = FifoQueue | StandardQueue
_LIMITS = Limits()
NO_LAKE: Any = None  # of a source whose messages point to no payload


def unpacker_of(source: EventSource, lake: Lake = NO_LAKE) -> Unpacker:
    """Return what makes the records of a source, as its connector has it."""

    def place(record: Record, body: Body) -> Record:
        if isinstance(source, FifoQueue):
            return place_in_fifo(record, body, source)
        return place_in_standard(record, body, source) if isinstance(source, StandardQueue) else record

    return Unpacker(source, Payloads(lake, source.name), place)


def records_from_sqs(message: Message, source: Queue, lake: Lake = NO_LAKE) -> list[Record]:
    """Return the records of a message."""
    return unpacker_of(source, lake).records(delivery_of(message))


# As if it were known that everything sent until now has landed.
ALL_LANDED = Evidence(landed_until=datetime.max.replace(tzinfo=UTC))


def record_from_sqs(message: Message, source: Queue) -> Record:
    """Return the record of a message that holds one event."""
    (record,) = records_from_sqs(message, source)
    return record


def reader_of_kinesis(source: Stream, lake: Lake = NO_LAKE) -> Callable[[Mapping[str, Any], str], list[Record]]:
    """Return what makes the records of a Kinesis record and the id of its shard."""
    unpacker = unpacker_of(source, lake)
    return lambda record, shard_id: unpacker.records(delivery_of_kinesis(record, shard_id))


def backlog(sqs: Any, queue_url: str) -> int:
    """Return how many messages wait, are in flight or are delayed in the queue of that URL."""
    return MessageQueue(sqs, queue_url).look().backlog


def send(sqs: Any, queue_url: str, events: Iterable[Event]) -> None:
    """Send events to the queue of that URL."""
    send_events(events, QueueSender(MessageQueue(sqs, queue_url)))


def drain(
    sqs: Any, queue_url: str, lake: Lake, source: Queue, limits: Limits = _LIMITS, **options: Any
) -> engine.Drained:
    """Land what waits in the queue of that URL."""
    unpacker, landing = unpacker_of(source, lake), Landing(lake, source.name)

    def read(message: Message) -> list[Record]:
        return unpacker.records(delivery_of(message))

    return engine.drain(MessageQueue(sqs, queue_url), read, landing, limits, **options)


def read_shards(stream: KinesisStream, lake: Lake, source: Stream, limits: Limits = _LIMITS) -> list[WindowRead]:
    """Land a window of each shard that may be read, in partitions of a day."""
    read, landing = reader_of_kinesis(source, lake), Landing(lake, source.name)
    shards = shards_to_read(stream, lake, source)
    return [read_window(Polling(stream), shard, read, landing, limits) for shard in shards]


def workspace_of(lake: Lake, pipeline: Pipeline, **of_sources: str) -> Workspace:
    """Return the workspace of a pipeline that was never provisioned; connectors find ``of_sources`` at AWS."""
    resources = Resources(pipeline.name, lake.bucket, "", "", "", of_sources)
    return Workspace(pipeline, resources, replace(lake, calendar=pipeline.calendar), Aws())


def without_events(pipeline: Pipeline) -> tuple[Source, ...]:
    """Return the sources of a pipeline that have no ingest."""
    return tuple(source for source in pipeline.sources if source not in pipeline.event_sources)
