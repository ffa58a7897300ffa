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
from typing import Any

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.layout import raw_dataset
from sluice.lake.partitions import Partition, chunks, parse_ranges
from sluice.lake.store import Lake
from sluice.landing.missing import land_missing, recorded_parts
from sluice.records.record import Record, read_parts
from sluice.sources.contract import EventConnector, connect_events, events_source
from sluice.workspace import Workspace

_LOG = logging.getLogger(__name__)

RAW = "raw"

_MOST_UNITS = 64  # so that the list of them stays short


def origins(sources: Iterable[EventSource]) -> list[str]:
    """From where sources can be replayed: from themselves, if they keep what arrived, and from raw."""
    return [*sorted({source.kind for source in sources if source.keeps_arrivals}), RAW]


@dataclass(frozen=True)
class Asked:
    """A replay: moments in UTC, both included, of partitions where ``origin`` is ``raw``, else of arrival.

    Any other origin is the kind of the source itself, such as ``stream``, where it keeps what arrived.
    """

    source: EventSource
    origin: str
    since: datetime
    until: datetime

    @classmethod
    def from_params(cls, pipeline: Pipeline, params: Mapping[str, Any]) -> Asked:
        """From ``source``, ``origin``, ``from`` and ``to``: ISO moments, UTC unless they have an offset.

        Raises:
            DeclarationError: the pipeline has no such source of events, or it can't be replayed from that origin.
            SluiceError: a moment is none, or the range ends before it begins.
        """
        source, origin = events_source(pipeline, params["source"]), params["origin"]
        if origin != RAW and (not source.keeps_arrivals or origin != source.kind):
            raise DeclarationError(
                f"source {source.name} is a {source.kind}, which keeps nothing that was landed; replay it with origin "
                f"{' or '.join(map(repr, origins([source])))}"
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
        SluiceError: the source does not keep the range any more; nothing was read.
        MissingResource: there is no such source at AWS.
    """
    if asked.origin == RAW:
        return _plan_raw(workspace.lake, asked)
    return connect_events(workspace, asked.source).replay_units(asked.since)


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
    connector, counts = connect_events(workspace, asked.source), Counter[str]()
    if asked.origin == RAW:
        batches = _derived(connector, parse_ranges(unit), counts)
    else:
        batches = _counted(connector.arrived(unit, asked.since, asked.until), counts)
    landed = land_missing(batches, connector.landing)
    if counts["left"]:
        _LOG.warning(
            "%d records of %s counted under an earlier declaration and stay as they are",
            counts["left"],
            asked.source.name,
        )
    return Replayed(counts["read"], landed, counts["left"])


def _counted(batches: Iterable[list[Record]], counts: Counter[str]) -> Iterator[list[Record]]:
    for batch in batches:
        counts["read"] += len(batch)
        yield batch


def _derived(
    connector: EventConnector[Any], partitions: Iterable[Partition], counts: Counter[str]
) -> Iterator[list[Record]]:
    """The records of raw partitions whose event time can be read only now, part by part.

    Others are left where they are whatever today's declaration says of them: their first copies are conformed, and
    would count beside the second.
    """
    for partition in partitions:
        manifest = connector.lake.manifest(connector.dataset, partition)
        for body in recorded_parts(connector.lake, manifest) if manifest else ():
            stored = [Record(**row) for row in read_parts([body]).to_pylist()]
            changed = [(old, new) for old in stored if (new := connector.derive_again(old)) != old]
            counts["read"] += len(stored)
            counts["left"] += sum(old.event_time_from == "body" for old, _ in changed)
            yield [new for old, new in changed if old.event_time_from == "sent"]
