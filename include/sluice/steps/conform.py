"""``conform``: one row per event id, in group order, each checked against the contract; the rest quarantined.

Order comes from (group, sequence number) alone (P3). Of valid copies of one id the first in sequence stays;
equal ones are duplicates, different ones are conflicts. A good copy after a malformed one is accepted. An id of which
another partition has the first copy is a conflict, too: its event time is another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sluice.contracts.reading import Contract
from sluice.records.record import CONTROL, SCHEMA
from sluice.steps.ids.keys import NO_IDS, Ids

# A standard queue's sequence may hold the same number twice: then the id orders, and of its copies the time of sending.
_ORDER = ("group", "sequence_number", "event_id", "sent_at", "message_id", "receive_count")
_FEW = 64  # rows that are compared one by one
Places = npt.NDArray[np.int64]
QUARANTINE_SCHEMA = SCHEMA.append(pa.field("reason", pa.string(), nullable=False))


@dataclass(frozen=True)
class Conformed:
    """``rows`` in group order, ``quarantined`` raw records with a ``reason`` column, and what was counted.

    A message that was landed twice is quarantined once; its copies count as ``duplicates``, like equal copies of a row.
    ``control`` counts messages of a service that hold no event. So rows, duplicates, rejected records and control
    messages add up to the records that came in.
    """

    rows: pa.Table
    quarantined: pa.Table
    duplicates: int
    rejected: Mapping[str, int]
    control: int


@dataclass(frozen=True)
class Accepted:
    """The records of one partition, read: what it accepts by itself, before other partitions are looked at.

    Attributes:
        rows: The first valid row of each id, in group order.
        copies: All valid rows, in group order.
        conflicts: The places in ``copies`` of rows that differ from the first of their id.
        events: The records, without control messages.
        reasons: Why each of the events is not valid; null if it is.
        order: The places of the events in group order.
        control: How many control messages there were.
    """

    rows: pa.Table
    copies: pa.Table
    conflicts: Places
    events: pa.Table
    reasons: pa.Array[Any]
    order: Places
    control: int

    def conformed(self, elsewhere: Ids = NO_IDS) -> Conformed:
        """Return what counts.

        Args:
            elsewhere: The ids of which another partition has the first copy. All copies here have another event time,
                so they are conflicts.
        """
        rows, conflicts = self.rows, self.conflicts
        if len(elsewhere):
            rows = rows.filter(pc.invert(pc.is_in(rows["event_id"], value_set=elsewhere)))
            is_elsewhere = pc.is_in(self.copies["event_id"], value_set=elsewhere).to_numpy()
            conflicts = np.union1d(conflicts, np.flatnonzero(is_elsewhere))
        order, fits = self.order, self.reasons.is_null().to_numpy(zero_copy_only=False)
        conflicting = order[fits[order]][conflicts]
        reasons = self.reasons.to_numpy(zero_copy_only=False)
        reasons[conflicting] = "conflict"
        faulty = order[np.isin(order, conflicting) | ~fits[order]]
        why = pa.array(reasons[faulty], pa.string())
        held = self.events.take(faulty) if len(faulty) else self.events.slice(0, 0)  # Arrow copies texts to take none
        quarantined = _once(held.append_column(QUARANTINE_SCHEMA.field("reason"), why))
        rejected: Counter[Any] = Counter(quarantined["reason"].to_pylist())
        return Conformed(
            rows=rows,
            quarantined=quarantined,
            duplicates=self.events.num_rows - rows.num_rows - quarantined.num_rows,
            rejected=dict(sorted(rejected.items())),
            control=self.control,
        )


def accept(partitions: Sequence[pa.Table], contract: Contract) -> list[Accepted]:
    """Read the records of partitions, all of them at once: that takes hardly longer than the records of one.

    Args:
        partitions: For each partition a table of :data:`SCHEMA`, in any order.
        contract: What an event must look like.

    Returns:
        What each partition accepts.
    """
    records, sizes = pa.concat_tables(partitions), [each.num_rows for each in partitions]
    owners = np.repeat(np.arange(len(sizes)), sizes)  # the partition of each record
    is_control = pc.is_in(records["fault"], pa.array([CONTROL]))
    if pc.any(is_control).as_py():
        is_event = pc.invert(is_control)
        records, owners = records.filter(is_event), owners[is_event.to_numpy()]
    with ThreadPoolExecutor() as pool:  # Arrow does not hold the interpreter
        sorting = pool.submit(_in_order, records, owners)
        numbering = pool.submit(_numbered, records["event_id"])
        read = contract.read(records)
    order, fits = sorting.result(), read.reasons.is_null().to_numpy(zero_copy_only=False)
    fitting = order[fits[order]]
    copies = _taken(read.rows, (np.cumsum(fits) - 1)[fitting])
    ids = numbering.result()[fitting]
    found = []
    for size, (first, end), (first_copy, end_copy) in zip(
        sizes, _bounds(owners, len(sizes)), _bounds(owners[fitting], len(sizes)), strict=True
    ):
        own = copies.slice(first_copy, end_copy - first_copy)
        firsts, conflicts = _first_and_conflicts(own.select(contract.compared), ids[first_copy:end_copy])
        found.append(
            Accepted(
                rows=own.take(firsts) if len(firsts) < own.num_rows else own,
                copies=own,
                conflicts=conflicts,
                events=records.slice(first, end - first),
                reasons=read.reasons.slice(first, end - first),
                order=order[first:end] - first,
                control=size - (end - first),
            )
        )
    return found


def _bounds(owners: Places, partitions: int) -> Iterator[tuple[int, int]]:
    """Yield the places at which each partition begins and ends among those that are in the partitions' order."""
    return pairwise(np.searchsorted(owners, np.arange(partitions + 1)).tolist())


def conform(records: pa.Table, contract: Contract) -> Conformed:
    """Conform the raw records of one partition by itself.

    Args:
        records: A table of :data:`SCHEMA`, in any order.
        contract: What an event must look like.
    """
    (accepted,) = accept([records], contract)
    return accepted.conformed()


def _in_order(events: pa.Table, owners: Places) -> Places:
    """Return the places of events in group order, those of each partition together."""
    keys = events.select(_ORDER).combine_chunks()  # one piece is sorted twice as fast as many
    places: Places = pc.sort_indices(keys, [(name, "ascending") for name in _ORDER]).to_numpy()
    return places[np.argsort(owners[places], kind="stable")] if owners.any() else places


def _taken(table: pa.Table, places: Places) -> pa.Table:
    """Return the rows at some places. Columns are taken side by side, each in one piece, which is quicker than many."""
    with ThreadPoolExecutor() as pool:
        columns = list(pool.map(lambda column: column.combine_chunks().take(places), table.columns))
    return pa.table(columns, schema=table.schema)


def _numbered(ids: pa.ChunkedArray[Any]) -> Places:
    """Return a number for each id, the same for equal ids, from 0 on."""
    numbers: Places = ids.combine_chunks().dictionary_encode().indices.to_numpy()
    return numbers


def _first_and_conflicts(rows: pa.Table, ids: Places) -> tuple[Places, Places]:
    """Return the places of the first row of each id, and of those that differ from it under the same id.

    Args:
        rows: The columns to compare.
        ids: The number of each row's id.
    """
    places = np.arange(len(ids))
    first_of = np.zeros(ids.max(initial=-1) + 1, dtype=np.int64)
    first_of[ids[::-1]] = places[::-1]  # of several rows of an id the first is written last
    is_first = first_of[ids] == places
    first, repeats = places[is_first], places[~is_first]
    return first, repeats[_different(rows.take(first_of[ids[repeats]]), rows.take(repeats))]


def _different(ones: pa.Table, others: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows differ from their counterparts. Most are equal, so they are compared many at once."""
    size = ones.num_rows
    if ones.equals(others):
        return np.zeros(size, dtype=bool)
    if size <= _FEW:
        pairs = zip(ones.to_pylist(), others.to_pylist(), strict=True)
        return np.array([one != other for one, other in pairs], dtype=bool)
    half = size // 2
    return np.concatenate([_different(ones.slice(at, half + 1), others.slice(at, half + 1)) for at in (0, half + 1)])


def _once(quarantined: pa.Table) -> pa.Table:
    """Return each message once, however often it was landed."""
    keys = zip(quarantined["message_id"].to_pylist(), quarantined["sequence_number"].to_pylist(), strict=True)
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    return quarantined.take(pa.array(sorted(first.values()), pa.int64()))
