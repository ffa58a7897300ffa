"""Lands a past time range again, from the stream or from raw, in the partitions to which its events belong.

Only missing records are landed, so replaying a complete range changes nothing. A replay from the stream restores lost
records, as far back as the stream keeps them. A replay from raw is for records whose event time could not be read when
they landed: once the declaration is corrected, it copies them to the right partition. Their first copies stay, and
``conform`` quarantines them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.layout import raw_dataset
from sluice.lake.partitions import Partition, chunks, parse_ranges
from sluice.lake.store import Lake
from sluice.landing.missing import land_missing
from sluice.landing.recorded import recorded
from sluice.records.record import Record
from sluice.sources.connecting import connect_events, events_source
from sluice.sources.contract import EventConnector
from sluice.workspace import Workspace

_LOG = logging.getLogger(__name__)

RAW = "raw"

_MOST_UNITS = 64  # keeps the list of units short


def origins(sources: Iterable[EventSource]) -> list[str]:
    """Return the origins from which these sources can be replayed: their kinds, if they keep arrivals, and raw."""
    return [*sorted({source.kind for source in sources if source.keeps_arrivals}), RAW]


@dataclass(frozen=True)
class ReplayRequest:
    """A time range of a source to replay.

    Args:
        source: The source whose records are landed again.
        origin: ``raw``, or the kind of the source, such as ``stream``, if it keeps arrivals.
        since: The first moment of the range (UTC).
        until: The last moment of the range (UTC), included. With the origin ``raw`` the range selects partitions; with
            another origin, times of arrival.
    """

    source: EventSource
    origin: str
    since: datetime
    until: datetime

    @classmethod
    def from_params(cls, pipeline: Pipeline, params: Mapping[str, Any]) -> ReplayRequest:
        """Parse the params of a DAG run.

        Args:
            pipeline: The pipeline of the run.
            params: ``source``, ``origin``, ``from`` and ``to``. The last two are ISO 8601, in UTC unless they have an
                offset.

        Raises:
            DeclarationError: the pipeline has no such source of events, or it can't be replayed from that origin.
            SluiceError: a moment can't be parsed, or the range ends before it begins.
        """
        source, origin = events_source(pipeline, params["source"]), params["origin"]
        if origin != RAW and (not source.keeps_arrivals or origin != source.kind):
            raise DeclarationError(
                f"source {source.name} is a {source.kind}, which does not keep landed events; replay it with origin "
                f"{' or '.join(map(repr, origins([source])))}"
            )
        since, until = (_moment(name, params[name]) for name in ("from", "to"))
        if until < since:
            raise SluiceError(f"the range from {params['from']} to {params['to']} ends before it begins; swap the two")
        return cls(source, origin, since, until)


@dataclass(frozen=True)
class Replayed:
    """What a replay did.

    Attributes:
        read: How many records it read.
        landed: How many of them were missing and have landed.
        left: How many of them stay in their partition although today's declaration would derive them differently.
    """

    read: int
    landed: int
    left: int = 0


def _moment(name: str, text: str | None) -> datetime:
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError as error:
        raise SluiceError(f"{name!r} is {text!r}, which is not a date and time; write 2013-01-15T07:30:00") from error
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def plan(workspace: Workspace, request: ReplayRequest) -> list[str]:
    """Split a replay into units that may run in parallel. Nothing is read.

    Args:
        workspace: The pipeline that declares the source.
        request: The range to replay.

    Returns:
        Ids of shards, or, with the origin ``raw``, ranges of partitions.

    Raises:
        SluiceError: the source does not keep the range any more.
        MissingResource: there is no such source at AWS.
    """
    if request.origin == RAW:
        return _plan_raw(workspace.lake, request)
    return connect_events(workspace, request.source).replay_units(request.since)


def _plan_raw(lake: Lake, request: ReplayRequest) -> list[str]:
    partitions = [
        partition
        for partition in lake.partitions(raw_dataset(request.source.name))
        if partition.start <= request.until and request.since < partition.end
    ]
    return chunks(partitions, -(-len(partitions) // _MOST_UNITS) or 1)


def replay(workspace: Workspace, request: ReplayRequest, unit: str) -> Replayed:
    """Land the missing records of one unit. Checkpoints don't move.

    Args:
        workspace: The pipeline that declares the source.
        request: The range to replay.
        unit: One of those that :func:`plan` returned for the same request.

    Raises:
        MissingResource: the stream, or a raw part that a manifest names, is gone.
        UnreadableObject: a raw part is damaged.
        ConflictingWrite: other writers kept changing a manifest.
    """
    connector, counts = connect_events(workspace, request.source), Counter[str]()
    if request.origin == RAW:
        batches = _derived(connector, parse_ranges(unit, connector.lake.calendar), counts)
    else:
        batches = _counted(connector.arrived(unit, request.since, request.until), counts)
    landed = land_missing(batches, connector.landing)
    if counts["left"]:
        _LOG.warning(
            "%d records of %s were conformed under an earlier declaration and stay in their partitions",
            counts["left"],
            request.source.name,
        )
    return Replayed(counts["read"], landed, counts["left"])


def _counted(batches: Iterable[list[Record]], counts: Counter[str]) -> Iterator[list[Record]]:
    for batch in batches:
        counts["read"] += len(batch)
        yield batch


def _derived(
    connector: EventConnector[Any], partitions: Iterable[Partition], counts: Counter[str]
) -> Iterator[list[Record]]:
    """Yield the events of raw partitions whose event time can be read only now, part by part.

    A message from which no event was taken may give several now. All other records stay in their partition, even where
    today's declaration derives them differently. Their first copies were conformed, so a second copy in another
    partition would count twice.
    """
    for partition in partitions:
        manifest = connector.lake.manifest(connector.dataset, partition)
        for table in recorded(connector.lake, manifest) if manifest else ():
            stored = [Record(**row) for row in table.to_pylist()]
            changed = [(old, new) for old in stored if (new := connector.unpacker.derive_again(old)) != [old]]
            counts["read"] += len(stored)
            counts["left"] += sum(old.event_time_from == "body" for old, _ in changed)
            yield [each for old, new in changed if old.event_time_from == "sent" for each in new]
