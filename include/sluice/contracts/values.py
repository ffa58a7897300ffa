"""Columns and their values: what a validated member becomes, or why its column can't hold it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from math import isfinite
from types import NoneType
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AnyUrl

from sluice.records.times import OUT_OF_RANGE

# What a column spells as its text.
Spelled = UUID | AnyUrl | IPv4Address | IPv4Interface | IPv4Network | IPv6Address | IPv6Interface | IPv6Network
MOMENT = pa.timestamp("us", tz="UTC")
_FIRST = pa.scalar(datetime.min.replace(tzinfo=UTC), MOMENT)
_LAST = pa.scalar(datetime.max.replace(tzinfo=UTC), MOMENT)
_LARGEST = 400  # decimal digits before or after the point, of a number that is text


class Unfit(ValueError):
    """A value that its column can't hold.

    Attributes:
        kind: The kind of the fault, as it stands in a reason.
        where: The way to the member, from outside.
    """

    def __init__(self, kind: str, *where: str) -> None:
        super().__init__(kind)
        self.kind, self.where = kind, where


@dataclass(frozen=True)
class Column:
    """How a member becomes a column.

    Attributes:
        type: The Arrow type.
        convert: Returns a validated value as Arrow takes it; raises :class:`Unfit`. It gets no None.
        takes: The one Python type whose values Arrow reads as ``convert`` does; None if there is none.
    """

    type: pa.DataType
    convert: Callable[[Any], Any]
    takes: Any = None

    def value(self, member: Any) -> Any:
        """Return a validated value as Arrow takes it.

        Raises:
            Unfit: the column can't hold it.
        """
        return None if member is None else self.convert(member)

    def plain(self, members: Sequence[Any]) -> pa.Array[Any] | None:
        """Return validated values as a column, all at once; None if one of them has to be looked at."""
        if self.takes is None or not {*map(type, members)} <= {self.takes, NoneType}:
            return None
        try:
            array: Any = pa.array(members, self.type)
        except (pa.ArrowException, ValueError, OverflowError):
            return None
        return array if _is_in_range(array) else None


def within(column: Column, member: Any, name: str) -> Any:
    """Return a member as :meth:`Column.value` does; its name leads to the fault.

    Args:
        column: The column of the member.
        member: Its value.
        name: Its name.

    Raises:
        Unfit: the column can't hold it.
    """
    try:
        return column.value(member)
    except Unfit as fault:
        raise Unfit(fault.kind, name, *fault.where) from None


def require(fits: bool, kind: str) -> None:
    """Require that a value fits.

    Args:
        fits: Whether it does.
        kind: The kind of the fault.

    Raises:
        Unfit: it does not.
    """
    if not fits:
        raise Unfit(kind)


def text(value: Any) -> str:
    """Return text as a column takes it."""
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, Spelled):
        return str(value)
    require(isinstance(value, str), "string_type")
    return str(value)


def whole(value: Any) -> int:
    """Return a whole number as a column of int64 takes it."""
    value = value.value if isinstance(value, Enum) else value
    require(isinstance(value, int) and not isinstance(value, bool), "int_type")
    require(-(2**63) <= value < 2**63, OUT_OF_RANGE)
    return int(value)


def real(value: Any) -> float:
    """Return a number as a column of float64 takes it."""
    value = value.value if isinstance(value, Enum) else value
    require(isinstance(value, int | float) and not isinstance(value, bool), "float_type")
    require(isfinite(value), OUT_OF_RANGE)
    return float(value)


def truth(value: Any) -> bool:
    """Return a truth value as a column takes it."""
    value = value.value if isinstance(value, Enum) else value
    require(isinstance(value, bool), "bool_type")
    return bool(value)


def moment(value: Any) -> Any:
    """Return a time in UTC. One without a zone is a default of the contract's own, and is UTC."""
    require(isinstance(value, datetime), "datetime_type")
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise Unfit(OUT_OF_RANGE) from error


def day(value: Any) -> Any:
    """Return a date as a column takes it."""
    require(isinstance(value, date) and not isinstance(value, datetime), "date_type")
    return value


def time_of_day(value: Any) -> Any:
    """Return a time of day as a column takes it, which has no place for an offset."""
    require(isinstance(value, time), "time_type")
    require(value.tzinfo is None, "time_with_offset")
    return value


def raw_bytes(value: Any) -> bytes:
    """Return bytes as a column takes them."""
    require(isinstance(value, bytes), "bytes_type")
    return bytes(value)


def number_or_text(value: Any) -> str:
    """Return a number or text as text. Equal numbers are the same text: no exponent, no zeros at the end."""
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    require(isinstance(value, float | Decimal), "string_type")
    number = Decimal(repr(value)) if isinstance(value, float) else value
    require(number.is_finite() and abs(number.adjusted()) <= _LARGEST, OUT_OF_RANGE)
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if number else "0"


def _is_in_range(array: Any) -> bool:
    """Whether all values are in range: finite numbers, and times of the years 1 to 9999."""
    if pa.types.is_floating(array.type):
        fits = pc.is_finite(array)
    elif pa.types.is_timestamp(array.type):
        fits = pc.and_(pc.greater_equal(array, _FIRST), pc.less_equal(array, _LAST))
    else:
        return True
    return bool(pc.all(fits, min_count=0).as_py())
