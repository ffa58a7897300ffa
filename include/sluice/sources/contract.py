"""The contract of all source kinds. To add a kind, write a declared class and a connector.

The rest of the library, the command line and the DAGs use sources through :class:`Connector` and
:class:`EventConnector` only. :func:`sluice.sources.connecting.connect` makes the connector of a declared source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event as Signal
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import override

from sluice.aws.template import Fragment
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource, Source
from sluice.errors import DeclarationError, UnreadableObject
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Size
from sluice.lake.partitions import Partition
from sluice.lake.readable import readable_manifests
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence, is_empty_by_rule
from sluice.landing.parts import Flush, Landed, Landing, Limits
from sluice.records.body import Body
from sluice.records.payloads import Payloads
from sluice.records.record import Record
from sluice.records.unpacking import Delivery, Unpacker
from sluice.sending.lanes import Sender
from sluice.workspace import Workspace

Declared = TypeVar("Declared", bound=Source, covariant=True)
DeclaredEvents = TypeVar("DeclaredEvents", bound=EventSource, covariant=True)

# Digests of what a source has, by partition. A partition for which it has nothing has no entry.
Contents = Mapping[Partition, str]
# What `status` shows of a source, by name. Numbers are also sent as metrics.
Figures = Mapping[str, int | float | datetime | None]


def reasons(why: Callable[[Partition], str | None], partitions: Collection[Partition]) -> dict[Partition, str]:
    """Return why partitions are not complete.

    Args:
        why: Returns the reason for one; None if it is complete. It may raise UnreadableObject, which is a reason.
        partitions: The partitions.
    """

    def reason(partition: Partition) -> str | None:
        try:
            return why(partition)
        except UnreadableObject as error:
            return str(error)

    with ThreadPoolExecutor(16) as pool:
        found = zip(partitions, pool.map(reason, partitions), strict=True)
        return {partition: text for partition, text in found if text is not None}


class Connector(ABC, Generic[Declared]):
    """One source of one pipeline, in one account and region.

    Attributes:
        workspace: The pipeline.
        source: The declared source.
    """

    def __init__(self, workspace: Workspace, source: Declared) -> None:
        self.workspace, self.source = workspace, source

    @classmethod
    def template(cls, pipeline: Pipeline, source: Any) -> Fragment:
        """Return what a source adds to its pipeline's template and to the workers' policy; by default nothing.

        Workers may read and write everything under the pipeline's prefix of the bucket anyway.

        Args:
            pipeline: The pipeline that declares the source.
            source: The declared source, of the class that names this connector.
        """
        return Fragment()

    @property
    def lake(self) -> Lake:
        """The pipeline's lake."""
        return self.workspace.lake

    @property
    def dataset(self) -> str:
        """The raw dataset of the source."""
        return raw_dataset(self.source.name)

    @abstractmethod
    def incomplete(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        """Return why partitions of the source are not complete.

        Args:
            partitions: The partitions to look at.

        Returns:
            The reason of each that is not complete, which is shown after the partition's key; ``{partition}`` in it is
            replaced by the key. If its manifest can't be read, that is the reason: it stops no other partition.
        """

    def contents(self, partitions: Collection[Partition] | None = None) -> Contents:
        """Return digests of what the source has. Only listings are read.

        Args:
            partitions: The only partitions to include; None for all.
        """
        return self.lake.manifest_etags(self.dataset, partitions)

    def sizes(self, partitions: Collection[Partition], look: Look) -> Mapping[Partition, Size]:
        """Return how much complete partitions of the source hold. One that holds nothing may be left out.

        Args:
            partitions: The partitions.
            look: A look at the lake.
        """
        manifests, _ = readable_manifests(look, self.dataset, partitions)
        return {manifest.time_partition(self.lake.calendar): manifest.size for manifest in manifests}

    def partitions(self) -> set[Partition]:
        """Return the partitions for which something has landed or waits to land."""
        return set(self.lake.partitions(self.dataset))

    def unlanded(self, look: Look) -> set[Partition]:
        """Return the partitions of which :meth:`land` would land something new, if they are complete.

        Args:
            look: A look at the lake. Nothing is written.
        """
        return set()

    def land(self, partitions: Collection[Partition]) -> int:
        """Land complete partitions before their steps run. Only a source without an ingest DAG does anything here.

        Args:
            partitions: The partitions; those that are not complete are left out.

        Returns:
            How many partitions have changed.
        """
        return 0


@dataclass(frozen=True)
class Letter:
    """A dead-lettered message.

    Attributes:
        record: Its record.
        receipt: The receipt with which it is deleted or put back.
    """

    record: Record
    receipt: str


class DeadLetters(Protocol):
    """The messages of a source that were received too often without being deleted."""

    def count(self) -> int:
        """Return how many messages there are. The service's count may be approximate."""

    def peek(self, most: int) -> list[Letter]:
        """Read at most ``most`` messages, and put them back at once."""

    def take(self, most: int) -> list[Letter]:
        """Receive at most ``most`` messages in one call and hide them from other readers; empty if there are none."""

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Make messages visible to other readers now."""

    def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete messages.

        Returns:
            The messages that could not be deleted.
        """


class EventConnector(Connector[DeclaredEvents]):
    """A source of single events. Its ingest DAG waits for a backlog, drains units in parallel, and closes partitions.

    What is drained lands in raw parts before it is acknowledged (P1).

    Attributes:
        drops_repeats: Whether the source drops the second of two sends with one id within a few minutes.
    """

    drops_repeats: bool = False

    @property
    def landing(self) -> Landing:
        """Where the records of the source land."""
        return Landing(self.lake, self.source.name)

    # Records

    @cached_property
    def unpacker(self) -> Unpacker:
        """What makes records of what the source delivers, by its declaration."""
        return Unpacker(self.source, Payloads(self.lake, self.source.name), self.place)

    def records(self, delivery: Delivery) -> list[Record]:
        """Make the records of a message, one for each event in it."""
        return self.unpacker.records(delivery)

    def place(self, record: Record, body: Body) -> Record:
        """Return a record in its place in its group. A kind whose bodies name the group or the place overrides this.

        Args:
            record: The record, with the group and the sequence number of its message.
            body: Its parsed body.
        """
        return record

    # Landing

    @property
    @abstractmethod
    def awaited(self) -> str:
        """What the ingest waits for, as its log names it, such as ``a message in the queue …``."""

    @abstractmethod
    def backlog(self) -> int:
        """Return how many messages, or shards with records, wait to land. Nothing is received."""

    @abstractmethod
    def units(self, most: int) -> list[str]:
        """Return the units that can be drained in parallel now: lanes of a queue, or shards of a stream.

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
            stop: Set it to end the drain early. What was received is then flushed or given back.
        """

    def unsettled(self, settling: timedelta) -> str | None:
        """Return what closing should wait for a little longer, in words; None if there is nothing such.

        Args:
            settling: How long counters that are approximate have to agree.
        """
        return None

    @abstractmethod
    def evidence(self, settling: timedelta) -> Evidence:
        """Return how far the source has landed, for the watermark.

        Args:
            settling: How long counters that are approximate have to agree. A kind that counts exactly needs no time.
        """

    @abstractmethod
    def figures(self) -> Figures:
        """Return what ``status`` and the metrics show of the source."""

    def gauges(self) -> Mapping[str, int | float]:
        """Return those of the figures that are numbers, for the metrics of each cycle."""
        return {name: value for name, value in self.figures().items() if isinstance(value, int | float)}

    def oldest(self) -> timedelta | None:
        """Return at most how old the oldest event is that waits to land; None if the kind can't tell, or none waits."""
        return None

    @override
    def incomplete(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        """Return why partitions are not complete. One is complete once closed, or if it is empty by rule."""
        look, dataset = Look(self.lake), self.dataset
        look.read_manifests((dataset, each) for each in partitions)

        def why(partition: Partition) -> str | None:
            manifest = look.manifest(dataset, partition)
            if manifest is None:
                empty = is_empty_by_rule(look, self.source.name, partition)
                return None if empty else "no event has arrived in it, and nothing proves yet that none will"
            return None if manifest.state == "closed" else "still open, because events of that time may still arrive"

        return reasons(why, partitions)

    # Sending, sending back, and replay

    def sender(self) -> Sender:
        """Return the sender of new events to the source.

        Raises:
            DeclarationError: the kind of source can't be sent to.
        """
        raise self._unsupported("can't be sent events by `sluice send`")

    def post(self, record: Record, repeat_id: str) -> str:
        """Send one record back to the source.

        Args:
            record: The record.
            repeat_id: A source that ``drops_repeats`` drops a second send with the same id.

        Returns:
            The new message id or sequence number.

        Raises:
            DeclarationError: the kind of source can't be sent to.
        """
        raise self._unsupported("can't be sent an event back")

    def dead_letters(self) -> DeadLetters | None:
        """Return the dead letters of the source; None if its kind has none."""
        return None

    def replay_units(self, since: datetime) -> list[str]:
        """Return the units that can be replayed in parallel, if the kind ``keeps_arrivals``.

        Args:
            since: The first time of arrival to replay (UTC).

        Raises:
            DeclarationError: the kind keeps no arrivals.
        """
        raise self._unsupported("does not keep landed events; replay it with origin 'raw'")

    def arrived(self, unit: str, since: datetime, until: datetime) -> Iterator[list[Record]]:
        """Return the records that arrived in one unit, batch by batch.

        Args:
            unit: One of :meth:`replay_units`.
            since: The first time of arrival (UTC).
            until: The last time of arrival (UTC), included.

        Raises:
            DeclarationError: the kind keeps no arrivals.
        """
        raise self._unsupported("does not keep landed events; replay it with origin 'raw'")

    def _unsupported(self, what: str) -> DeclarationError:
        return DeclarationError(f"source {self.source.name} is a {self.source.kind}, which {what}")
