"""Selects and counts what can be sent back to a source: quarantined events and dead letters."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.manifests import earliest
from sluice.lake.partitions import Grain, Partition, partition_at
from sluice.redrive.ledger import Entry, Ledger, State, known
from sluice.redrive.quarantined import OUTSIDE, Quarantined, quarantined
from sluice.sources.contract import DeadLetters, connect_events
from sluice.workspace import Workspace

CONFLICT = "conflict"
BY_REASON_ONLY = (CONFLICT, OUTSIDE)
DEAD_LETTER = "received too often, never deleted"
_PEEKED = 100

Where = Literal["quarantine", "dead_letters"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Which events a redrive selects.

    Conflicts, and events outside the pipeline's start and end, are selected by their reason only: sent back unchanged,
    they end in the same place.

    Args:
        where: ``quarantine``, ``dead_letters`` or ``both``.
        reason: Only events quarantined for this reason.
        first: The first partition, as :func:`sluice.lake.partitions.partition_at` reads it.
        last: The last partition, included.
        ids: Only events with these ids.
        limit: The most messages to send from each place.
        unknown: Also send messages of which it is unknown whether a stopped redrive sent them.

    Raises:
        SluiceError: ``where`` or ``limit`` is out of its range, or dead letters would be selected by the criteria of
            quarantined events.
    """

    where: str = "both"
    reason: str | None = None
    first: str | None = None
    last: str | None = None
    ids: frozenset[str] = frozenset()
    limit: int = 1000
    unknown: bool = False

    def __post_init__(self) -> None:
        if self.where not in ("quarantine", "dead_letters", "both"):
            raise SluiceError(f"{self.where!r} is no place; write quarantine, dead_letters or both")
        if self.limit < 1:
            raise SluiceError(f"a limit of {self.limit} sends nothing; write 1 or more")
        if self.where != "quarantine" and (self.reason or self.first or self.last or self.ids):
            raise SluiceError("reason, from, to and ids choose among quarantined events; say where: quarantine")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Choice:
        """Make a choice of the params of a DAG run, where ``from`` and ``to`` are ``first`` and ``last``.

        Raises:
            SluiceError: as for the class.
        """
        return cls(
            where=params["where"],
            reason=params["reason"],
            first=params["from"],
            last=params["to"],
            ids=frozenset(params["ids"]),
            limit=params["limit"],
            unknown=params["unknown"],
        )

    def covers(self, place: Where) -> bool:
        """Whether the place is selected."""
        return self.where in (place, "both")

    def takes(self, each: Quarantined) -> bool:
        """Whether the event is selected to be sent back."""
        right_reason = each.reason == self.reason if self.reason else each.reason not in BY_REASON_ONLY
        return right_reason and self._named(each)

    def shows(self, each: Quarantined) -> bool:
        """Whether the event is listed."""
        return self.reason in (None, "", each.reason) and self._named(each)

    def _named(self, each: Quarantined) -> bool:
        return not self.ids or each.event_id in self.ids

    def range(self, every: Grain) -> tuple[Partition | None, Partition | None]:
        """The first and the last partition; None where the range is open. Raises SluiceError if it is empty."""
        first, last = (partition_at(moment, every) if moment else None for moment in (self.first, self.last))
        if first and last and last < first:
            raise SluiceError(f"the range from {self.first} to {self.last} ends before it begins; swap the two")
        return first, last


@dataclass(frozen=True)
class Held:
    """The events of one source that are held back in one place for one reason.

    ``count`` of dead letters is SQS's approximate count; the other members then describe those that were peeked at.

    Attributes:
        oldest: When the oldest event was first sent (UTC).
        example: An event id.
        sent_back: How many were sent back before.
        unknown: Of how many it is unknown whether they were sent back.
    """

    source: str
    where: Where
    reason: str
    count: int
    oldest: datetime | None
    example: str
    sent_back: int
    unknown: int


def sources_named(pipeline: Pipeline, name: str | None) -> list[EventSource]:
    """The source of events of that name, or all of them. Raises DeclarationError if there is none."""
    found = [source for source in pipeline.event_sources if name in (None, "", source.name)]
    if not found:
        names = ", ".join(source.name for source in pipeline.event_sources) or "none"
        raise DeclarationError(f"pipeline {pipeline.name} has no source of events {name!r}; it has {names}")
    return found


def survey_all(workspace: Workspace, source: str | None, choice: Choice) -> list[Held]:
    """:func:`survey` of the source of that name, or of all. Each result is logged."""
    held = [each for named in sources_named(workspace.pipeline, source) for each in survey(workspace, named, choice)]
    for each in held:
        _log.info("%s", each)
    return held


def counts(held: Iterable[Held]) -> dict[str, int]:
    """How many events are held back, by ``source/place``."""
    totals: Counter[str] = Counter()
    for each in held:
        totals[f"{each.source}/{each.where}"] += each.count
    return dict(totals)


def survey(workspace: Workspace, source: EventSource, choice: Choice) -> list[Held]:
    """Count what can be sent back, by place and reason. Nothing is changed; dead letters are put back at once.

    Raises:
        MissingResource: the pipeline has no such queue.
    """
    entries = Ledger(workspace.lake, source.name).entries()
    held: list[Held] = []
    if choice.covers("quarantine"):
        held += _held_quarantined(workspace, source, choice, entries)
    if choice.covers("dead_letters") and (dead := connect_events(workspace, source).dead_letters()) is not None:
        held += _held_dead_letters(source.name, dead, entries)
    return held


def _held_quarantined(
    workspace: Workspace, source: EventSource, choice: Choice, entries: Mapping[str, Entry]
) -> list[Held]:
    by_reason: dict[str, Held] = {}
    for each in quarantined_of(workspace, source, choice):
        if choice.shows(each):
            none = Held(source.name, "quarantine", each.reason, 0, None, each.event_id, 0, 0)
            before = by_reason.get(each.reason, none)
            state = known(entries, each.message_id).state
            by_reason[each.reason] = replace(
                before,
                count=before.count + 1,
                oldest=earliest([before.oldest, each.sent_at]),
                sent_back=before.sent_back + (state is State.SENT),
                unknown=before.unknown + (state is State.UNKNOWN),
            )
    return [held for _, held in sorted(by_reason.items())]


def _held_dead_letters(source: str, dead: DeadLetters, entries: Mapping[str, Entry]) -> list[Held]:
    count = dead.count()
    if not count:
        return []
    records = [letter.record for letter in dead.peek(min(count, _PEEKED))]
    states = Counter(known(entries, record.message_id).state for record in records)
    return [
        Held(
            source=source,
            where="dead_letters",
            reason=DEAD_LETTER,
            count=count,
            oldest=earliest(record.sent_at for record in records),
            example=records[0].event_id if records else "",
            sent_back=states[State.SENT],
            unknown=states[State.UNKNOWN],
        )
    ]


def quarantined_of(workspace: Workspace, source: EventSource, choice: Choice) -> Iterable[Quarantined]:
    """What is quarantined in the range of the choice, for any reason."""
    first, last = choice.range(workspace.pipeline.every)

    def wanted(partition: Partition) -> bool:
        return (first is None or first <= partition) and (last is None or partition <= last)

    return quarantined(workspace, source, wanted)
