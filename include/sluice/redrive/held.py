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
from sluice.errors import SluiceError
from sluice.lake.manifests import earliest
from sluice.lake.partitions import Calendar, Partition, last_partition_at, partition_at
from sluice.redrive.ledger import Entry, Ledger, State, entry_of
from sluice.redrive.quarantined import OUTSIDE, Quarantined, quarantined
from sluice.sources.connecting import connect_events, events_source
from sluice.sources.contract import DeadLetters
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

    Conflicts, and events outside the pipeline's start and end, are selected only by their reason: if they were sent
    back unchanged, they would be held back again.

    Args:
        where: ``quarantine``, ``dead_letters`` or ``both``.
        reason: Only events quarantined for this reason.
        first: The first partition, as :func:`sluice.lake.partitions.partition_at` reads it.
        last: The last partition, included.
        ids: Only events with these ids; empty for all.
        limit: The most messages to send from each place.
        unknown: Whether to send messages again if it is unknown whether a stopped redrive sent them.

    Raises:
        SluiceError: ``where`` or ``limit`` is out of its range, or criteria of quarantined events are given for dead
            letters.
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
            raise SluiceError(f"{self.where!r} is not a place; write quarantine, dead_letters or both")
        if self.limit < 1:
            raise SluiceError(f"a limit of {self.limit} sends nothing; write 1 or more")
        if self.where != "quarantine" and (self.reason or self.first or self.last or self.ids):
            raise SluiceError("reason, from, to and ids select quarantined events only; set where to quarantine")

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

    def includes(self, place: Where) -> bool:
        """Return whether the place is selected."""
        return self.where in (place, "both")

    def selects(self, each: Quarantined) -> bool:
        """Return whether the event is selected to be sent back."""
        right_reason = each.reason == self.reason if self.reason else each.reason not in BY_REASON_ONLY
        return right_reason and self._has_id(each)

    def lists(self, each: Quarantined) -> bool:
        """Return whether the event is listed by a survey."""
        return self.reason in (None, "", each.reason) and self._has_id(each)

    def _has_id(self, each: Quarantined) -> bool:
        return not self.ids or each.event_id in self.ids

    def range(self, calendar: Calendar) -> tuple[Partition | None, Partition | None]:
        """Return the first and the last partition; None where the range is open.

        Raises:
            SluiceError: the range ends before it begins, or has no dates.
        """
        first = partition_at(self.first, calendar) if self.first else None
        last = last_partition_at(self.last, calendar) if self.last else None
        if first and last and last < first:
            raise SluiceError(f"the range from {self.first} to {self.last} ends before it begins; swap the two")
        return first, last


@dataclass(frozen=True)
class Held:
    """The events of one source that are held back in one place for one reason.

    Attributes:
        source: The name of the source.
        where: Where they are held back.
        reason: Why they are held back.
        count: How many there are. SQS's count of dead letters is approximate, and the other members describe the
            messages that were peeked at.
        oldest: When the oldest event was first sent (UTC).
        example: An event id.
        sent_back: How many were sent back before.
        unknown: For how many it is unknown whether they were sent back.
    """

    source: str
    where: Where
    reason: str
    count: int
    oldest: datetime | None
    example: str
    sent_back: int
    unknown: int

    def describe(self) -> str:
        """Return all of it in one line. The id comes from a producer, so control characters are escaped."""
        oldest = f"; the oldest is of {self.oldest:%Y-%m-%d %H:%M:%S} UTC" if self.oldest else ""
        return (
            f"{self.source}, {self.where}: {self.count} held back, because {self.reason!r}; {self.sent_back} sent back "
            f"before, and perhaps {self.unknown} more{oldest}; one is {self.example!r}"
        )


def sources_named(pipeline: Pipeline, name: str | None) -> list[EventSource]:
    """Return the source of events with a name, or all sources of events.

    Args:
        pipeline: The pipeline that declares them.
        name: The name; None or empty for all.

    Raises:
        DeclarationError: there is none.
    """
    if not name and pipeline.event_sources:
        return list(pipeline.event_sources)
    return [events_source(pipeline, name or "")]


def survey_all(workspace: Workspace, source: str | None, choice: Choice) -> list[Held]:
    """Survey one source or all, and log each result.

    Args:
        workspace: The pipeline.
        source: The name of the source; None or empty for all.
        choice: Which events to count.

    Raises:
        DeclarationError: there is no such source.
        MissingResource: the pipeline has no such queue.
    """
    held = [each for named in sources_named(workspace.pipeline, source) for each in survey(workspace, named, choice)]
    for each in held:
        _log.info("%s", each.describe())
    if not held:
        _log.info("nothing is held back")
    return held


def counts(held: Iterable[Held]) -> dict[str, int]:
    """Return how many events are held back, by ``source/place``."""
    totals: Counter[str] = Counter()
    for each in held:
        totals[f"{each.source}/{each.where}"] += each.count
    return dict(totals)


def survey(workspace: Workspace, source: EventSource, choice: Choice) -> list[Held]:
    """Count what can be sent back, by place and reason. Nothing is changed; dead letters are put back at once.

    Args:
        workspace: The pipeline.
        source: The source of the events.
        choice: Which events to count.

    Raises:
        MissingResource: the pipeline has no such queue.
    """
    entries = Ledger(workspace.lake, source.name).entries()
    held: list[Held] = []
    if choice.includes("quarantine"):
        held += _held_quarantined(workspace, source, choice, entries)
    if choice.includes("dead_letters") and (dead := connect_events(workspace, source).dead_letters()) is not None:
        held += _held_dead_letters(source.name, dead, entries)
    return held


def _held_quarantined(
    workspace: Workspace, source: EventSource, choice: Choice, entries: Mapping[str, Entry]
) -> list[Held]:
    by_reason: dict[str, Held] = {}
    for each in quarantined_of(workspace, source, choice):
        if choice.lists(each):
            none = Held(source.name, "quarantine", each.reason, 0, None, each.event_id, 0, 0)
            before = by_reason.get(each.reason, none)
            state = entry_of(entries, each.of_message).state
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
    states = Counter(entry_of(entries, record.message_id).state for record in records)
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
    """Return what is quarantined in the range of a choice, for any reason.

    Args:
        workspace: The pipeline.
        source: The source of the events.
        choice: Its range is used, and nothing else of it.
    """
    first, last = choice.range(workspace.pipeline.calendar)

    def wanted(partition: Partition) -> bool:
        return (first is None or first <= partition) and (last is None or partition <= last)

    return quarantined(workspace, source, wanted)
