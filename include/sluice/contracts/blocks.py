"""Reads many bodies at once by Arrow's JSON reader, where it reads what pydantic does.

A contract of flat members can be read so. A body that may not fit is not judged here: it is left to pydantic, as is
every body of a block that Arrow refuses. So both ways give the same rows, and all reasons are pydantic's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from sluice.contracts.alike import LONGEST_INTEGER, split_alike
from sluice.contracts.flat import Flat, Member
from sluice.contracts.functions import Functions, Mask
from sluice.contracts.letters import letters_of

_MOMENT = pa.timestamp("us", "UTC")
_DEEPEST = 100  # pydantic refuses what is nested deeper than 200 levels, and Arrow does not
_LONG_INTEGER = re.compile(rb"[0-9]{%d}" % (LONGEST_INTEGER + 1))
_PARSED_AT_ONCE = 2**20  # bytes


class BlockReader:
    """Reads blocks of bodies by a flat contract.

    Args:
        flat: The contract.
    """

    def __init__(self, flat: Flat) -> None:
        self._members, self._takes_others, self._functions = flat.members, flat.takes_others, Functions(flat)
        self._types = {name: member.read_as for name, member in flat.members.items()}

    def read(self, bodies: pa.Array[Any]) -> tuple[dict[str, pa.Array[Any]], Mask] | None:
        """Return the column of each member, and which bodies fit; None if the block can't be read so.

        Args:
            bodies: Texts that may be anything.
        """
        try:
            if not _are_lines(bodies):
                return None
            table, written = self._parsed(bodies, _lines(bodies))
            if table is None or table.num_rows != len(bodies):  # a line has two objects
                return None
            columns, fits = {}, np.ones(len(bodies), dtype=bool)
            for name, member in self._members.items():
                column = table[name].combine_chunks()
                fits &= _fitting(member, column, member.may_be_null if name in written else member.may_lack)
                columns[name] = _moments(column, fits) if member.is_time else column
        except pa.ArrowException:
            return None
        return columns, self._functions.keep(columns, fits)

    def _parsed(self, bodies: pa.Array[Any], lines: pa.Buffer) -> tuple[pa.Table | None, Collection[str]]:
        """Return the members, and the names of those that are known to stand in each body."""
        with suppress(pa.ArrowInvalid):
            return split_alike(bodies, lines, self._types, others=self._takes_others)
        with suppress(pa.ArrowInvalid):
            return self._table(lines, "error"), ()
        # A body has other members, or does not fit.
        return self._table(lines, "ignore") if self._takes_others and not _is_doubtful(bodies, lines) else None, ()

    def _table(self, lines: pa.Buffer, other_members: Literal["ignore", "error"]) -> pa.Table:
        source: Any = pa.BufferReader(lines)
        schema = pa.schema(self._types.items())
        options = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=other_members)
        return pa.json.read_json(source, pa.json.ReadOptions(block_size=_PARSED_AT_ONCE), options)


def _are_lines(bodies: pa.Array[Any]) -> bool:
    """Whether bodies stay apart once they are joined: after ``}`` no JSON goes on with ``{``."""
    return bool(pc.all(pc.and_(pc.starts_with(bodies, "{"), pc.ends_with(bodies, "}"))).as_py())


def _lines(bodies: Any) -> pa.Buffer:
    """Return bodies with a line break behind each."""
    letters: Any = letters_of(pc.binary_join_element_wise(bodies, "", "\n"))
    return pa.py_buffer(letters)


def _is_doubtful(bodies: Any, lines: pa.Buffer) -> bool:
    """Whether Arrow may pass over a member that pydantic refuses: infinity, one that is too deep, or too long."""
    content = lines.to_pybytes()
    letters = np.frombuffer(content, np.uint8)
    opened = np.count_nonzero(letters == ord("{")) + np.count_nonzero(letters == ord("["))
    longest: Any = pc.max(pc.binary_length(bodies)).as_py()
    is_long = longest > LONGEST_INTEGER and _LONG_INTEGER.search(content) is not None
    return int(opened) > len(bodies) + _DEEPEST or b"Inf" in content or is_long


def _fitting(member: Member, column: pa.Array[Any], null_fits: bool) -> Mask:
    fits: Any = member.fits(column) if member.fits is not None else column.is_valid()
    if column.null_count:
        fits = pc.if_else(column.is_valid(), fits, pa.scalar(null_fits))
    mask: Mask = fits.to_numpy(zero_copy_only=False)
    return mask


def _moments(column: pa.Array[Any], fits: Mask) -> pa.Array[Any]:
    """Return texts as moments; null where a body does not fit."""
    texts: Any = pc.if_else(pa.array(fits), column, pa.scalar(None, pa.string()))
    moments: pa.Array[Any] = texts.cast(_MOMENT)
    return moments
