"""Lands a past time range again, from the stream or from raw itself, into the partitions where its events belong.

Only what is not there is landed, so a replay of what is there changes nothing. From the stream, what was lost comes
back as long as the stream keeps it. From raw, records whose event time could not be read when they landed move to
where they belong once the declaration is mended; their first copies stay, quarantined by ``conform``.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Literal

import pyarrow.parquet as pq

from sluice.errors import DeclarationError, MissingResource, SluiceError
from sluice.lake import Lake, raw_dataset
from sluice.landing.closing import close_source
from sluice.landing.parts import Parts
from sluice.landing.queue import backlog
from sluice.landing.records import Record, derived_anew, read_parts, record_from_kinesis
from sluice.landing.shards import Place, answers, list_shards, retention
from sluice.landing.stream import close_stream
from sluice.partitions import Partition, chunks, parse_ranges
from sluice.pipeline import Grain
from sluice.sources import EventSource, Stream
from sluice.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

Origin = Literal["stream", "raw"]

_LOG = logging.getLogger(__name__)

_WRITERS = 8
_HELD_RECORDS = 20_000
_HELD_CHARACTERS = 64 * 1024 * 1024
_REMEMBERED = 2_000_000  # records, by 16 bytes each
_MOST_UNITS = 64  # so that the list of them stays short
_IDENTITY = ("message_id", "event_id", "group", "sequence_number", "event_time", "event_time_from")


class RangeTrimmed(SluiceError):
    """The stream has trimmed a part of what is asked for."""


@dataclass(frozen=True)
class Range:
    """Moments in UTC, both included: of arrival for a stream, of partitions for raw."""

    since: datetime
    until: datetime

    @classmethod
    def parse(cls, since: str | None, until: str | None) -> Range:
        """ISO moments, UTC unless they have an offset. Raises SluiceError for what is none, or no range."""
        made = cls(_moment("from", since), _moment("to", until))
        if made.until < made.since:
            raise SluiceError(f"the range from {since} to {until} ends before it begins; swap the two")
        return made


@dataclass(frozen=True)
class Replayed:
    """What a replay did: records read, landed, and left though today's declaration says otherwise of them."""

    read: int
    landed: int
    left: int = 0


def _moment(name: str, text: str | None) -> datetime:
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError as error:
        raise SluiceError(f"{name!r} is {text!r}, which is no moment; write 2013-01-15T07:30:00") from error
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def plan(workspace: Workspace, source: EventSource, origin: Origin, asked: Range) -> list[str]:
    """The units of a replay, which may be done side by side: shards of the stream, or ranges of raw partitions.

    Raises:
        DeclarationError: a queue can't be replayed, its raw records can.
        RangeTrimmed: the stream does not hold the range any more; nothing was read.
    """
    if origin == "raw":
        return _plan_raw(workspace.lake, source, asked)
    if not isinstance(source, Stream):
        raise DeclarationError(
            f"source {source.name} is a queue, which keeps nothing that was landed; replay it with origin 'raw'"
        )
    kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source.name)
    held = retention(kinesis, stream, workspace.lake.now())
    if held.trimmed and asked.since < held.horizon:
        raise RangeTrimmed(
            f"stream {stream} holds what arrived since {held.horizon.isoformat()}, and has trimmed what arrived from "
            f"{asked.since.isoformat()} on; ask from there, or replay with origin 'raw'"
        )
    return [shard.id for shard in list_shards(kinesis, stream)]


def _plan_raw(lake: Lake, source: EventSource, asked: Range) -> list[str]:
    partitions = [
        partition
        for partition in lake.partitions(raw_dataset(source.name))
        if partition.start <= asked.until and asked.since < partition.end
    ]
    return chunks(partitions, -(-len(partitions) // _MOST_UNITS) or 1)


def replay(workspace: Workspace, source: EventSource, origin: Origin, unit: str, asked: Range) -> Replayed:
    """Land what is missing of one unit of the plan. Checkpoints don't move.

    Raises:
        MissingResource: the stream, or a raw part that a manifest names, is gone.
        ConflictingWrite: a manifest could not be written against other writers.
    """
    every = workspace.pipeline.every
    if origin == "stream" and isinstance(source, Stream):
        kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source.name)
        return replay_shard(kinesis, stream, unit, workspace.lake, source, every, asked)
    return replay_raw(workspace.lake, source, every, parse_ranges(unit))


def replay_shard(
    kinesis: KinesisClient, stream: str, shard: str, lake: Lake, source: Stream, every: Grain, asked: Range
) -> Replayed:
    """Land what arrived in one shard in the range and is not where it belongs. What arrives from now on is not read."""
    until = min(asked.until, lake.now())
    with ThreadPoolExecutor(_WRITERS) as pool:
        landing = _Landing(Missing(lake, source, every), Parts(lake, source.name, every, pool))
        for answer in answers(kinesis, stream, shard, Place(at=asked.since), lake.now, Event()):
            records = [record_from_kinesis(record, shard, source) for record in answer.records]
            in_range = [record for record in records if record.sent_at <= until]
            landing.take(in_range)
            if len(in_range) < len(records) or answer.read_until >= until or (answer.at_tip and not records):
                break
        landing.flush()
    return Replayed(landing.read, landing.landed)


def replay_raw(lake: Lake, source: EventSource, every: Grain, partitions: Iterable[Partition]) -> Replayed:
    """Derive the raw records of some partitions anew, and land those whose event time can be read only now.

    Others are left where they are whatever today's declaration says of them: their first copies are conformed, and
    would count beside the second. How many those are is logged.
    """
    read = left = 0
    with ThreadPoolExecutor(_WRITERS) as pool:
        landing = _Landing(Missing(lake, source, every), Parts(lake, source.name, every, pool))
        for partition in partitions:
            manifest = lake.manifest(raw_dataset(source.name), partition)
            for file in manifest.files if manifest else ():
                stored = [Record(**row) for row in read_parts([lake.get(file.key)]).to_pylist()]
                changed = [(old, new) for old in stored if (new := derived_anew(old, source)) != old]
                read += len(stored)
                left += sum(old.event_time_from == "body" for old, _ in changed)
                landing.take([new for old, new in changed if old.event_time_from == "sent"])
        landing.flush()
    if left:
        _LOG.warning("%d records of %s counted under an earlier declaration and stay as they are", left, source.name)
    return Replayed(read, landing.landed, left)


class Missing:
    """Tells which records are not in the raw partitions where they belong.

    It remembers the partitions asked for last, up to some number of records.
    """

    def __init__(self, lake: Lake, source: EventSource, every: Grain) -> None:
        self._lake, self._dataset, self._every = lake, raw_dataset(source.name), every
        self._known: dict[Partition, set[bytes]] = {}

    def of(self, records: Iterable[Record]) -> list[Record]:
        """Those that are missing, each once; from now on they count as being there."""
        by_partition: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            by_partition[Partition.containing(record.event_time, self._every)].append(record)
        found: list[Record] = []
        for partition in sorted(by_partition):
            there = self._there(partition)
            for record in by_partition[partition]:
                name = _digest(tuple(getattr(record, member) for member in _IDENTITY))
                if name not in there:
                    there.add(name)
                    found.append(record)
        return found

    def _there(self, partition: Partition) -> set[bytes]:
        if partition not in self._known:
            read = self._read(partition)
            while self._known and sum(map(len, self._known.values())) + len(read) > _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[partition] = read
        return self._known[partition]

    def _read(self, partition: Partition) -> set[bytes]:
        manifest = self._lake.manifest(self._dataset, partition)
        there: set[bytes] = set()
        for file in manifest.files if manifest else ():
            body = self._lake.read(file.key)
            if body is None:
                raise MissingResource(
                    f"{self._lake.uri(file.key)} is gone, but the manifest names it; restore it, or remove "
                    f"{self._lake.manifest_key(self._dataset, partition)} as well and replay again"
                )
            table = pq.read_table(io.BytesIO(body), columns=list(_IDENTITY))
            columns = [table[name].to_pylist() for name in _IDENTITY]
            there.update(map(_digest, zip(*columns, strict=True)))
        return there


def _digest(identity: Sequence[object]) -> bytes:
    return hashlib.blake2b("\n".join(map(repr, map(str, identity))).encode(), digest_size=16).digest()


class _Landing:
    """Holds records until they are worth parts, then lands those that are missing."""

    def __init__(self, missing: Missing, parts: Parts) -> None:
        self.read = 0
        self.landed = 0
        self._missing, self._parts = missing, parts
        self._held: list[Record] = []
        self._characters = 0

    def take(self, records: Sequence[Record]) -> None:
        self.read += len(records)
        self._held += records
        self._characters += sum(len(record.body) for record in records)
        if len(self._held) >= _HELD_RECORDS or self._characters >= _HELD_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        if missing := self._missing.of(self._held):
            self._parts.land(missing)
        self.landed += len(missing)
        self._held, self._characters = [], 0


def close_replayed(workspace: Workspace, source: EventSource) -> str:
    """Close what is complete, as the ingest of this source does; the ranges that were not announced yet."""
    if isinstance(source, Stream):
        kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source.name)
        return close_stream(kinesis, stream, workspace.lake, source)
    waiting = backlog(workspace.aws.client("sqs"), workspace.resources.queue(source.name))
    return close_source(workspace.lake, source, drained_empty=waiting == 0)
