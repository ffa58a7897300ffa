"""The contract of all source kinds. To add a kind, write a declared class and a connector.

The rest of the library, the command line and the DAGs use sources through :class:`Connector` and
:class:`EventConnector` only. :func:`connect` makes the connector of a declared source.
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

# The digest of what a source has, by partition. A partition of which it has nothing has no entry.
Contents = Mapping[Partition, str]
# What `status` shows of a source, by name. Numbers are sent as metrics, too.
Figures = Mapping[str, int | float | datetime | None]


class Connector(ABC, Generic[Declared]):
    """One source of one pipeline, in one account and region."""

    def __init__(self, workspace: Workspace, source: Declared) -> None:
        self.workspace, self.source = workspace, source

    @classmethod
    def template(cls, pipeline: Pipeline, source: Any) -> Fragment:
        """What a source adds to the template of its pipeline, and to the workers' policy.

        By default nothing. Workers may read and write everything under the pipeline's prefix of the bucket anyway.

        Args:
            source: The declared source, of the class that names this connector.
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
        """Why a partition of the source is not complete.

        Returns:
            The reason, which is shown after the partition's key; ``{partition}`` in it is replaced by the key. None if
            the partition is complete.
        """

    def contents(self, partition: Partition | None = None) -> Contents:
        """Digests of what the source has of one partition, or of all of them. It reads listings only."""
        return self.lake.manifest_etags(self.dataset, partition)

    def partitions(self) -> set[Partition]:
        """The partitions for which something has landed or waits to be landed."""
        return set(self.lake.partitions(self.dataset))

    def land(self, partition: Partition) -> bool:
        """Land a complete partition before its steps run. Only a source without an ingest DAG does anything here.

        Returns:
            Whether the lake has changed.
        """
        return False


@dataclass(frozen=True)
class Letter:
    """A dead-lettered message: its record, and the receipt with which it is deleted or put back."""

    record: Record
    receipt: str


class DeadLetters(Protocol):
    """The messages of a source that were received too often without being deleted."""

    def count(self) -> int:
        """How many there are; the service's count may be approximate."""

    def peek(self, most: int) -> list[Letter]:
        """Read at most ``most`` messages, and put them back at once."""

    def take(self, most: int) -> list[Letter]:
        """Receive at most ``most`` messages in one call and hide them from other readers; empty if there are none."""

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Make them visible to others now."""

    def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete them.

        Returns:
            The messages that could not be deleted.
        """


class EventConnector(Connector[DeclaredEvents]):
    """A source of single events: its ingest DAG waits for a backlog, drains units side by side, and closes partitions.

    What is drained lands in raw parts before it is acknowledged (P1).
    """

    # Whether the source drops the second of two sends with one id within a few minutes.
    drops_repeats: bool = False

    @property
    def landing(self) -> Landing:
        return Landing(self.lake, self.source.name, self.workspace.pipeline.every)

    # Landing

    @property
    @abstractmethod
    def awaited(self) -> str:
        """What the ingest waits for, as its log names it, such as ``a message in the queue …``."""

    @abstractmethod
    def backlog(self) -> int:
        """How many messages, or shards with records, wait to be landed. Nothing is received."""

    @abstractmethod
    def units(self, most: int) -> list[str]:
        """The units that can be drained in parallel now: lanes of a queue, or shards of a stream.

        Args:
            most: The most lanes to return. A stream returns every shard that can be read.
        """

    @abstractmethod
    def drain(self, unit: str, limits: Limits, on_flush: Callable[[Flush], None], stop: Signal) -> Landed:
        """Land what waits in one unit, until nothing is left, a limit is reached or ``stop`` is set.

        Args:
            unit: One of :meth:`units`.
            limits: When to end although more waits.
            on_flush: Called after each flush.
            stop: Set it to end the drain early; what is held is flushed or given back.
        """

    @abstractmethod
    def evidence(self) -> Evidence:
        """How far the source has landed, for the watermark."""

    @abstractmethod
    def figures(self) -> Figures:
        """What `status` and the metrics show of the source."""

    def why_incomplete(self, partition: Partition) -> str | None:
        """A partition of events is complete once it is closed, or if it is before the first event."""
        manifest = self.lake.manifest(self.dataset, partition)
        if manifest is None:
            empty = is_before_first_event(self.lake, self.dataset, self.workspace.pipeline, partition)
            return None if empty else "no event has arrived in it, and none in a later partition has closed it"
        return None if manifest.state == "closed" else "still open, because events of that time may still arrive"

    # Sending, sending back, and replay

    def carrier(self) -> Carrier:
        """The carrier that sends new events to the source."""
        raise self._can_not("takes no events from `sluice send`")

    def post(self, record: Record, repeat_id: str) -> str:
        """Send one record back to the source.

        Args:
            repeat_id: A source that ``drops_repeats`` drops a second send with the same id.

        Returns:
            The new message id or sequence number.
        """
        raise self._can_not("takes nothing back")

    def dead_letters(self) -> DeadLetters | None:
        """The dead letters of the source; None if its kind has none."""
        return None

    def derive_again(self, record: Record) -> Record:
        """Derive a stored record from its body again, by today's declaration."""
        return derive_again(record, self.source)

    def replay_units(self, since: datetime) -> list[str]:
        """The units that can be replayed in parallel, if the kind ``keeps_arrivals``.

        Args:
            since: The first time of arrival to replay (UTC).
        """
        raise self._can_not("keeps nothing that was landed; replay it with origin 'raw'")

    def arrived(self, unit: str, since: datetime, until: datetime) -> Iterator[list[Record]]:
        """The records that arrived in one unit, batch by batch.

        Args:
            unit: One of :meth:`replay_units`.
            since: The first time of arrival (UTC).
            until: The last time of arrival (UTC), included.
        """
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
