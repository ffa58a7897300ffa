"""Finds the messages of records that are held back, with the ids under which they have landed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sluice.errors import MissingResource
from sluice.lake.partitions import Partition
from sluice.landing.parts import Landing
from sluice.landing.recorded import recorded
from sluice.records.record import First, Record, first_of
from sluice.redrive.quarantined import Quarantined, records_of


def messages_of(landing: Landing, chosen: Sequence[Quarantined]) -> list[Record]:
    """Read the first record of each message, which has what the source delivered.

    Args:
        landing: Where the source lands.
        chosen: The records to read the messages of.

    Returns:
        The messages, each once, in the order of the chosen records.

    Raises:
        MissingResource: the first record of a message is gone from raw.
    """
    records = records_of(landing.lake, chosen)
    firsts = {record.message_id: first for record in records if (first := first_of(record.attributes)) is not None}
    landed = _landed(landing, firsts.values())
    messages: dict[str, Record] = {}
    for record in records:
        first = firsts.get(record.message_id)
        message = record if first is None else _with_id_of(_found(landing, landed, first), record)
        messages.setdefault(message.message_id, message)
    return list(messages.values())


def with_landed_ids(landing: Landing, letters: Sequence[Record]) -> list[Record]:
    """Return dead letters with the event ids under which they have landed, if they have.

    A dead-letter queue gives a message its message id as a new deduplication id (SQS developer guide, "Configure a
    dead-letter queue redrive"). So the one that stands in for an event's id is known from raw only.

    Args:
        landing: Where the source lands.
        letters: The records of the dead letters.
    """
    unknown = [First(each.message_id, each.event_time) for each in letters if each.event_id == each.message_id]
    landed = _landed(landing, unknown)
    return [
        each._replace(event_id=landed[each.message_id].event_id) if each.message_id in landed else each
        for each in letters
    ]


def _found(landing: Landing, landed: Mapping[str, Record], first: First) -> Record:
    if first.message_id in landed:
        return landed[first.message_id]
    partition = Partition.containing(first.event_time, landing.lake.calendar)
    raise MissingResource(
        f"{landing.dataset}, {partition.key}: message {first.message_id} is gone from raw, so it can't be sent back; "
        f"restore the partition, or have the message sent again"
    )


def _with_id_of(first: Record, other: Record) -> Record:
    """Return the first record of a message with the id that stands in for events without one, if another shows it."""
    number = other.message_id.removeprefix(first.message_id)
    shown = other.event_id.endswith(number)
    return first._replace(event_id=other.event_id.removesuffix(number)) if shown else first


def _landed(landing: Landing, firsts: Iterable[First]) -> Mapping[str, Record]:
    """Read the first records of messages from raw, by message id. Those that have not landed are left out."""
    by_partition: dict[Partition, set[str]] = defaultdict(set)
    for first in firsts:
        by_partition[Partition.containing(first.event_time, landing.lake.calendar)].add(first.message_id)
    found: dict[str, Record] = {}
    for partition, message_ids in by_partition.items():
        manifest = landing.lake.manifest(landing.dataset, partition)
        for table in recorded(landing.lake, manifest) if manifest else ():
            rows = table.filter(pc.is_in(table["message_id"], pa.array(message_ids)))
            found.update((row["message_id"], Record(**row)) for row in rows.to_pylist())
    return found
