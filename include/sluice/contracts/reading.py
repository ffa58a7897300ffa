"""Reads raw records by a contract: the columns of those that fit, and the reasons of those that don't."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from sluice.contracts.blocks import BlockReader
from sluice.contracts.bodies import BodyReader
from sluice.contracts.columns import columns_of
from sluice.contracts.flat import as_flat
from sluice.contracts.validation import body_validator
from sluice.errors import DeclarationError
from sluice.records.record import SCHEMA

# Columns of a row that come from the record. A member of their name is checked, and the record's value kept.
ENVELOPE = ("event_id", "group", "sequence_number", "event_time", "sent_at")
_QUEUE_ALONE_KNOWS = {"sequence_number", "sent_at"}
_BLOCK = 2**16  # records
_AT_ONCE = 2  # Arrow's reader does not hold the interpreter
_FEW = 64  # records, of which a block is no quicker
_LARGEST_BLOCK = 2**26  # bytes


@dataclass(frozen=True)
class Read:
    """What a contract makes of records.

    Attributes:
        rows: The rows of the records that fit, in their order.
        reasons: Why a record does not fit, for each record; null if it does.
    """

    rows: pa.Table
    reasons: pa.Array[Any]


class Contract:
    """A contract, ready to read.

    Args:
        model: The pydantic model of the JSON body.
        unit: The unit of times that are numbers, as the source declares it.
        zone: The zone of times without an offset, as the source declares it.

    Attributes:
        schema: The columns of rows: the envelope, then the members that it does not hold.

    Raises:
        DeclarationError: a member can't be a column, or its name is taken.
    """

    def __init__(self, model: type[BaseModel], unit: str | None = None, zone: str | None = None) -> None:
        taken = _QUEUE_ALONE_KNOWS & set(model.model_fields)
        if taken:
            raise DeclarationError(
                f"contract {model.__name__}: member {', '.join(sorted(taken))} would be lost, the queue's own is kept "
                f"under that name; rename it, with the old name as its alias"
            )
        columns = columns_of(model)
        self._columns = {name: column for name, column in columns.items() if name not in ENVELOPE}
        flat = as_flat(model)
        self._blocks = None if flat is None else BlockReader(flat)
        # Members that the record knows: a body may leave them out.
        self._known = {_name_in_body(model, name): name for name in columns if name in ENVELOPE}
        self._bodies = BodyReader(body_validator(model, unit, zone), self._columns, self._known)
        members = [pa.field(name, column.type) for name, column in self._columns.items()]
        self.schema = pa.schema([*(SCHEMA.field(name) for name in ENVELOPE), *members])

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns of the event itself: if they are equal in two rows of one id, the second is a duplicate."""
        return ("event_time", *(name for name in self._known.values() if name != "event_time"), *self._columns)

    def read(self, records: pa.Table) -> Read:
        """Read records.

        Args:
            records: A table of the records' schema.
        """
        slices = [records.slice(start, _BLOCK) for start in range(0, max(records.num_rows, 1), _BLOCK)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            blocks = list(pool.map(self._block, slices))
        rows = pa.concat_tables([block.rows for block in blocks])
        return Read(rows, pa.concat_arrays([block.reasons for block in blocks]))

    def _block(self, records: pa.Table) -> Read:
        """Read a block as a whole, or by its halves if a body in it can't be read so."""
        size = records.num_rows
        if self._blocks is None or size <= _FEW:
            return self._each(records)
        is_event = pc.and_(pc.is_null(records["fault"]), pc.equal(records["event_time_from"], pa.scalar("body")))
        found = None
        if records.nbytes <= _LARGEST_BLOCK and pc.all(is_event).as_py():
            found = self._blocks.read(records["body"].combine_chunks())
        if found is None:
            first, second = self._block(records.slice(0, size // 2)), self._block(records.slice(size // 2))
            reasons = pa.concat_arrays([first.reasons, second.reasons])
            return Read(pa.concat_tables([first.rows, second.rows]), reasons)
        columns, fits = found
        members = [columns[name] for name in self._columns]
        rows = pa.table([*(records[name] for name in ENVELOPE), *members], schema=self.schema)
        if fits.all():
            return Read(rows, pa.nulls(size, pa.string()))
        return self._with_others(records, rows, fits)

    def _with_others(self, records: pa.Table, rows: pa.Table, fits: npt.NDArray[np.bool_]) -> Read:
        """Read again, one by one, the records of a block that may not fit."""
        others = np.flatnonzero(~fits)
        again = self._each(records.take(others))
        reasons = np.full(len(fits), None, dtype=object)
        reasons[others] = again.reasons.to_numpy(zero_copy_only=False)
        fitting = others[again.reasons.is_null().to_numpy(zero_copy_only=False)]
        places = np.concatenate([np.flatnonzero(fits), fitting])
        both = pa.concat_tables([rows.filter(pa.array(fits)), again.rows])
        return Read(both.take(np.argsort(places)), pa.array(reasons, pa.string()))

    def _each(self, records: pa.Table) -> Read:
        """Read records one by one."""
        columns, reasons = self._bodies.read(records)
        why = pa.array(reasons, pa.string())
        fitting = records.filter(why.is_null())
        rows = pa.table([*(fitting[name] for name in ENVELOPE), *columns.values()], schema=self.schema)
        return Read(rows, why)


def _name_in_body(model: type[BaseModel], member: str) -> str:
    alias = model.model_fields[member].validation_alias
    return alias if isinstance(alias, str) else member
