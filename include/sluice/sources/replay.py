"""Lands a past time range again, from the stream or from raw itself, into the partitions where its events belong.

Only what is not there is landed, so a replay of what is there changes nothing. From the stream, what was lost comes
back as long as the stream keeps it. From raw, records whose event time could not be read when they landed move to
where they belong once the declaration is mended; their first copies stay, quarantined by ``conform``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource, Stream
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.layout import raw_dataset
from sluice.lake.partitions import Partition, chunks, parse_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.missing import land_missing, recorded_parts
from sluice.records.record import Record, derived_anew, read_parts, record_from_kinesis
from sluice.sources.queue.drain import backlog
from sluice.sources.stream.progress import close_stream
from sluice.sources.stream.shards import Place, answers, list_shards, retention
from sluice.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

_LOG = logging.getLogger(__name__)

_MOST_UNITS = 64  # so that the list of them stays short


class RangeTrimmed(SluiceError):
    """The stream has trimmed a part of what is asked for."""


@dataclass(frozen=True)
class Asked:
    """A replay: moments in UTC, both included, of arrival from a stream, of partitions from raw."""

    source: EventSource
    origin: Literal["stream", "raw"]
    since: datetime
    until: datetime

    @classmethod
    def from_params(cls, pipeline: Pipeline, params: Mapping[str, Any]) -> Asked:
        """From ``source``, ``origin``, ``from`` and ``to``: ISO moments, UTC unless they have an offset.

        Raises:
            DeclarationError: the pipeline has no such queue or stream, or a queue is to be replayed as a stream.
            SluiceError: a moment is none, or the range ends before it begins.
        """
        sources = {source.name: source for source in pipeline.event_sources}
        if params["source"] not in sources:
            raise DeclarationError(
                f"pipeline {pipeline.name} has no queue or stream {params['source']!r}; it has {', '.join(sources)}"
            )
        source, origin = sources[params["source"]], params["origin"]
        if origin == "stream" and not isinstance(source, Stream):
            raise DeclarationError(
                f"source {source.name} is a queue, which keeps nothing that was landed; replay it with origin 'raw'"
            )
        since, until = (_moment(name, params[name]) for name in ("from", "to"))
        if until < since:
            raise SluiceError(f"the range from {params['from']} to {params['to']} ends before it begins; swap the two")
        return cls(source, origin, since, until)


@dataclass(frozen=True)
class Replayed:
    """What a replay did: records read, landed, and left where they are though they would be derived differently."""

    read: int
    landed: int
    left: int = 0


def _moment(name: str, text: str | None) -> datetime:
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError as error:
        raise SluiceError(f"{name!r} is {text!r}, which is no moment; write 2013-01-15T07:30:00") from error
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def plan(workspace: Workspace, asked: Asked) -> list[str]:
    """The units of a replay, which may be done side by side: shards of the stream, or ranges of raw partitions.

    Raises:
        RangeTrimmed: the stream does not hold the range any more; nothing was read.
        MissingResource: there is no such stream.
    """
    if asked.origin == "raw":
        return _plan_raw(workspace.lake, asked)
    kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(asked.source.name)
    held = retention(kinesis, stream, workspace.lake.now())
    if held.trimmed and asked.since < held.horizon:
        raise RangeTrimmed(
            f"stream {stream} holds what arrived since {held.horizon.isoformat()}, and has trimmed what arrived from "
            f"{asked.since.isoformat()} on; ask from there, or replay with origin 'raw'"
        )
    return [shard.id for shard in list_shards(kinesis, stream)]


def _plan_raw(lake: Lake, asked: Asked) -> list[str]:
    partitions = [
        partition
        for partition in lake.partitions(raw_dataset(asked.source.name))
        if partition.start <= asked.until and asked.since < partition.end
    ]
    return chunks(partitions, -(-len(partitions) // _MOST_UNITS) or 1)


def replay(workspace: Workspace, asked: Asked, unit: str) -> Replayed:
    """Land what is missing of one unit of the plan. Checkpoints don't move.

    Raises:
        MissingResource: the stream, or a raw part that a manifest names, is gone.
        ConflictingWrite: a manifest could not be written against other writers.
    """
    lake, source, counts = workspace.lake, asked.source, Counter[str]()
    if asked.origin == "stream" and isinstance(source, Stream):
        kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source.name)
        batches = _arrived(kinesis, stream, unit, lake, source, asked, counts)
    else:
        batches = _derived(lake, source, parse_ranges(unit), counts)
    landed = land_missing(batches, lake, source, workspace.pipeline.every)
    if counts["left"]:
        _LOG.warning(
            "%d records of %s counted under an earlier declaration and stay as they are", counts["left"], source.name
        )
    return Replayed(counts["read"], landed, counts["left"])


def _arrived(
    kinesis: KinesisClient, stream: str, shard: str, lake: Lake, source: Stream, asked: Asked, counts: Counter[str]
) -> Iterator[list[Record]]:
    """What arrived in a shard in the range, answer by answer. What arrives from now on is not waited for."""
    until = min(asked.until, lake.now())
    for answer in answers(kinesis, stream, shard, Place(at=asked.since), lake.now, Event()):
        records = [record_from_kinesis(record, shard, source) for record in answer.records]
        in_range = [record for record in records if record.sent_at <= until]
        counts["read"] += len(in_range)
        yield in_range
        if len(in_range) < len(records) or answer.read_until >= until or (answer.at_tip and not records):
            return


def _derived(
    lake: Lake, source: EventSource, partitions: Iterable[Partition], counts: Counter[str]
) -> Iterator[list[Record]]:
    """The records of raw partitions whose event time can be read only now, part by part.

    Others are left where they are whatever today's declaration says of them: their first copies are conformed, and
    would count beside the second.
    """
    for partition in partitions:
        manifest = lake.manifest(raw_dataset(source.name), partition)
        for body in recorded_parts(lake, manifest) if manifest else ():
            stored = [Record(**row) for row in read_parts([body]).to_pylist()]
            changed = [(old, new) for old in stored if (new := derived_anew(old, source)) != old]
            counts["read"] += len(stored)
            counts["left"] += sum(old.event_time_from == "body" for old, _ in changed)
            yield [new for old, new in changed if old.event_time_from == "sent"]


def close_replayed(workspace: Workspace, source: EventSource) -> str:
    """Close what is complete, as the ingest of this source does; the ranges that were not announced yet."""
    if isinstance(source, Stream):
        kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source.name)
        return close_stream(kinesis, stream, workspace.lake, source)
    waiting = backlog(workspace.aws.client("sqs"), workspace.resources.queue(source.name))
    return close_source(workspace.lake, source, drained_empty=waiting == 0)
