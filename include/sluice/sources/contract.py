"""What Sluice asks of a source, whatever its kind. Whoever adds a kind writes a declared class and a connector.

The rest of the library, the command line and the DAGs know these two classes alone. ``connect`` makes the connector of
a declared source.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event as Signal
from typing import Any, Generic, Protocol, TypeVar

from sluice.aws.template import Fragment
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource, Source
from sluice.errors import DeclarationError
from sluice.lake.layout import raw_dataset
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence, is_before_first_event
from sluice.landing.parts import Flush, Landed, Landing, Limits
from sluice.records.body import derive_again
from sluice.records.record import Record
from sluice.sending.lanes import Carrier
from sluice.workspace import Workspace

Declared = TypeVar("Declared", bound=Source, covariant=True)
DeclaredEvents = TypeVar("DeclaredEvents", bound=EventSource, covariant=True)

# The digest of what a source holds, by partition. What it does not hold yet has no entry.
Contents = Mapping[Partition, str]
# What people look at, by name; numbers are metrics as well.
Figures = Mapping[str, int | float | datetime | None]


class Connector(ABC, Generic[Declared]):
    """One source of one pipeline, in one account and region."""

    def __init__(self, workspace: Workspace, source: Declared) -> None:
        self.workspace, self.source = workspace, source

    @classmethod
    def template(cls, pipeline: Pipeline, source: Any) -> Fragment:
        """What a source of this kind adds to the template of its pipeline, and to the workers' policy.

        By default nothing: whatever lies under the pipeline's own prefix of the bucket, the workers may read and write.
        """
        return Fragment()

    @property
    def lake(self) -> Lake:
        return self.workspace.lake

    @property
    def dataset(self) -> str:
        """The raw dataset of the source."""
        return raw_dataset(self.source.name)

    @abstractmethod
    def why_incomplete(self, partition: Partition) -> str | None:
        """Why this partition of the source is not complete; None if it is.

        The text stands behind the partition's key; ``{partition}`` in it is replaced by the key.
        """

    def contents(self, partition: Partition | None = None) -> Contents:
        """What the source holds of one partition, or of all. It costs listings only."""
        return self.lake.manifest_etags(self.dataset, partition)

    def partitions(self) -> set[Partition]:
        """The partitions of which something has landed, or waits to be landed."""
        return set(self.lake.partitions(self.dataset))

    def land(self, partition: Partition) -> bool:
        """Land a complete partition before its steps run, where no ingest does; True if that changed anything."""
        return False


@dataclass(frozen=True)
class Letter:
    """A dead-lettered message: its record, and what the queue needs to delete it or to put it back."""

    record: Record
    receipt: str


class DeadLetters(Protocol):
    """The messages of a source that were received too often and never landed."""

    def count(self) -> int:
        """How many there are, as far as the service knows."""

    def peek(self, most: int) -> list[Letter]:
        """At most so many, put back at once."""

    def take(self, most: int) -> list[Letter]:
        """At most so many that come at once, nobody else's for a while; none if nothing comes."""

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Make them visible to others now."""

    def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete them for good; returns those that were not deleted."""


class EventConnector(Connector[DeclaredEvents]):
    """A source of single events: its ingest DAG waits for a backlog, drains units side by side, and closes partitions.

    What is drained lands in raw parts before it is acknowledged (P1).
    """

    # Whether the source drops the second of two equal sends within a few minutes.
    drops_repeats: bool = False

    @property
    def landing(self) -> Landing:
        return Landing(self.lake, self.source.name, self.workspace.pipeline.every)

    # Landing

    @property
    @abstractmethod
    def awaited(self) -> str:
        """What an ingest waits for, such as ``a message in the queue …``."""

    @abstractmethod
    def backlog(self) -> int:
        """How much waits to be landed. Nothing is received by looking."""

    @abstractmethod
    def units(self, most: int) -> list[str]:
        """The names of what can be drained side by side now: lanes of a queue, at most ``most``, or shards."""

    @abstractmethod
    def drain(self, unit: str, limits: Limits, on_flush: Callable[[Flush], None], stop: Signal) -> Landed:
        """Land what waits in one unit, until nothing comes, a limit is reached or ``stop`` is set."""

    @abstractmethod
    def evidence(self) -> Evidence:
        """How far the source has landed, for the watermark."""

    @abstractmethod
    def figures(self) -> Figures:
        """How the source stands."""

    def why_incomplete(self, partition: Partition) -> str | None:
        """A partition is complete once it is closed, and likewise before the first event."""
        manifest = self.lake.manifest(self.dataset, partition)
        if manifest is None:
            empty = is_before_first_event(self.lake, self.dataset, self.workspace.pipeline, partition)
            return None if empty else "no event has arrived in it, and none in a later partition has closed it"
        return None if manifest.state == "closed" else "still open, because events of that time may still arrive"

    # Sending, sending back, and replay

    def carrier(self) -> Carrier:
        """What takes new events, in batches."""
        raise self._can_not("takes no events from `sluice send`")

    def post(self, record: Record, repeat_id: str) -> str:
        """Send one record back; returns its new message id or sequence number.

        Where the source ``drops_repeats``, it drops a second send of the same ``repeat_id``.
        """
        raise self._can_not("takes nothing back")

    def dead_letters(self) -> DeadLetters | None:
        """The source's dead letters; None where a source of this kind has none."""
        return None

    def derive_again(self, record: Record) -> Record:
        """A stored record as today's declaration makes it of its body."""
        return derive_again(record, self.source)

    def replay_units(self, since: datetime) -> list[str]:
        """What can be replayed side by side of what arrived since a moment; only if the kind ``keeps_arrivals``."""
        raise self._can_not("keeps nothing that was landed; replay it with origin 'raw'")

    def arrived(self, unit: str, since: datetime, until: datetime) -> Iterator[list[Record]]:
        """The records of one unit that arrived from ``since`` to ``until``, both included."""
        raise self._can_not("keeps nothing that was landed; replay it with origin 'raw'")

    def _can_not(self, what: str) -> DeclarationError:
        return DeclarationError(f"source {self.source.name} is a {self.source.kind}, which {what}")


def source_template(pipeline: Pipeline, source: Source) -> Fragment:
    """What a declared source adds to the template of its pipeline.

    Raises:
        DeclarationError: the class that the source names can't be imported.
    """
    return _connector_class(source).template(pipeline, source)


def connect(workspace: Workspace, source: Source) -> Connector[Any]:
    """The connector of a declared source.

    Raises:
        DeclarationError: the class that the source names can't be imported.
    """
    return _connector_class(source)(workspace, source)


def connect_events(workspace: Workspace, source: EventSource) -> EventConnector[Any]:
    """The connector of a declared source of events."""
    found = connect(workspace, source)
    if not isinstance(found, EventConnector):
        raise DeclarationError(f"{source.connector} must be an EventConnector, because {source.name} has events")
    return found


def events_source(pipeline: Pipeline, name: str) -> EventSource:
    """The source of events of that name. Raises DeclarationError if there is none."""
    for source in pipeline.event_sources:
        if source.name == name:
            return source
    names = ", ".join(source.name for source in pipeline.event_sources) or "none"
    raise DeclarationError(f"pipeline {pipeline.name} has no source of events {name!r}; it has {names}")


def _connector_class(source: Source) -> type[Connector[Any]]:
    module, _, name = source.connector.partition(":")
    try:
        found: type[Connector[Any]] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeclarationError(
            f"source {source.name}: its connector {source.connector!r} can't be imported ({error}); write it as "
            f"'module:Class'"
        ) from error
    return found
