"""``conform``: one row per event id, in group order, each checked against the contract; the rest quarantined.

Order comes from (group, sequence number) alone (P3). Of valid copies of one id the first in sequence stays;
equal ones are duplicates, different ones are conflicts. A good copy after a malformed one is accepted. An id of which
another partition has the first copy is a conflict, too: its event time is another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


class Accepted:
    """The records of one partition, read: what it accepts by itself, before other partitions are looked at.

    Args:
        records: A table of :data:`SCHEMA`, in any order.
        contract: What an event must look like.

    Attributes:
        rows: The first valid row of each id, in group order.
    """

    def __init__(self, records: pa.Table, contract: Contract) -> None:
        is_control = pc.is_in(records["fault"], pa.array([CONTROL]))
        self._events = records.filter(pc.invert(is_control)) if pc.any(is_control).as_py() else records
        self._control = records.num_rows - self._events.num_rows
        with ThreadPoolExecutor() as pool:  # Arrow does not hold the interpreter
            sorting = pool.submit(_in_order, self._events)
            numbering = pool.submit(_numbered, self._events["event_id"])
            read = contract.read(self._events)
        self._order, self._fits = sorting.result(), read.reasons.is_null().to_numpy(zero_copy_only=False)
        self._fitting = self._order[self._fits[self._order]]
        self._reasons = read.reasons
        rows = _taken(read.rows, (np.cumsum(self._fits) - 1)[self._fitting])
        ids = numbering.result()[self._fitting]
        first, self._conflicts = _first_and_conflicts(rows.select(contract.compared), ids)
        self._all_rows = rows
        self.rows = rows.take(first) if len(first) < rows.num_rows else rows

    def conformed(self, elsewhere: Ids = NO_IDS) -> Conformed:
        """Return what counts.

        Args:
            elsewhere: The ids of which another partition has the first copy. All copies here have another event time,
                so they are conflicts.
        """
        rows, conflicts = self.rows, self._conflicts
        if len(elsewhere):
            rows = rows.filter(pc.invert(pc.is_in(rows["event_id"], value_set=elsewhere)))
            is_elsewhere = pc.is_in(self._all_rows["event_id"], value_set=elsewhere).to_numpy()
            conflicts = np.union1d(conflicts, np.flatnonzero(is_elsewhere))
        reasons = self._reasons.to_numpy(zero_copy_only=False)
        reasons[self._fitting[conflicts]] = "conflict"
        order = self._order
        faulty = order[np.isin(order, self._fitting[conflicts]) | ~self._fits[order]]
        why = pa.array(reasons[faulty], pa.string())
        held = self._events.take(faulty) if len(faulty) else self._events.slice(0, 0)  # Arrow copies texts to take none
        quarantined = _once(held.append_column(QUARANTINE_SCHEMA.field("reason"), why))
        rejected: Counter[Any] = Counter(quarantined["reason"].to_pylist())
        return Conformed(
            rows=rows,
            quarantined=quarantined,
            duplicates=self._events.num_rows - rows.num_rows - quarantined.num_rows,
            rejected=dict(sorted(rejected.items())),
            control=self._control,
        )


def conform(records: pa.Table, contract: Contract) -> Conformed:
    """Conform the raw records of one partition by itself.

    Args:
        records: A table of :data:`SCHEMA`, in any order.
        contract: What an event must look like.
    """
    return Accepted(records, contract).conformed()


def _in_order(events: pa.Table) -> Places:
    """Return the places of events in group order."""
    keys = events.select(_ORDER).combine_chunks()  # one piece is sorted twice as fast as many
    places: Places = pc.sort_indices(keys, [(name, "ascending") for name in _ORDER]).to_numpy()
    return places


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
