"""Parses the times that producers write: one set of spellings, at landing and in contracts.

Accepted are RFC 3339 (https://www.rfc-editor.org/rfc/rfc3339, section 5.6) with T, t or a blank between date and time,
with offsets as ``Z``, ``z``, ``+02``, ``+0200`` or ``+02:00``; the same without seconds, as Java writes whole minutes;
and the basic form of ISO 8601, such as ``20210504T100000Z``. A fraction has 1 to 9 digits after a point or a comma, of
which those beyond microseconds are cut. ``24:00:00`` is the next midnight, and a second ``60`` the next second.

A time without an offset is accepted only if a zone is declared, and a number, or digits as text, only if a unit is.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from math import isfinite
from zoneinfo import ZoneInfo

# Kinds of faults, as they stand in the reason of a quarantined event.
NO_TIME, OUT_OF_RANGE = "not_a_time", "out of range"

_OFFSET = r"(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9}))?"
_EXTENDED = re.compile(
    rf"(?P<date>\d{{4}}-\d\d-\d\d)[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d){_FRACTION})?{_OFFSET}",
    re.ASCII,
)
_BASIC = re.compile(
    rf"(?P<date>\d{{8}})[Tt](?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d){_FRACTION}{_OFFSET}", re.ASCII
)
# The commonest spellings. Python reads them in a fifth of the time, but not the hour 24 and the second 60.
_COMMON = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:[0-5]\d)", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = {"s": Decimal(1_000_000), "ms": Decimal(1_000), "us": Decimal(1), "ns": Decimal("0.001")}
_FURTHEST = 10**18  # microseconds; far outside what Python can tell


class TimeFault(ValueError):
    """A value is no time. Its text is the kind of the fault: :data:`NO_TIME` or :data:`OUT_OF_RANGE`."""


def parse_time(value: object, unit: str | None = None, zone: str | None = None) -> datetime:
    """Parse a time of a JSON body.

    Args:
        value: A member of the body: text or a number.
        unit: ``s``, ``ms``, ``us`` or ``ns`` since 1970-01-01T00:00:00Z, the unit of numbers; None if there are none.
        zone: The IANA name of the zone of times without an offset; None if there are none. Of an hour that the zone
            has twice, the first one is meant.

    Returns:
        The moment in UTC, to the microsecond.

    Raises:
        TimeFault: it is no time, or none that Python can tell.
    """
    if isinstance(value, str):
        if _COMMON.fullmatch(value):
            with suppress(ValueError, OverflowError):
                return datetime.fromisoformat(value).astimezone(UTC)
        found = _EXTENDED.fullmatch(value) or _BASIC.fullmatch(value)
        if found:
            return _written(found, zone)
        if unit is not None and _NUMBER.fullmatch(value):
            return _counted(Decimal(value), unit)
    elif unit is not None and isinstance(value, int) and not isinstance(value, bool):
        return _counted(Decimal(value), unit)
    elif unit is not None and isinstance(value, float) and isfinite(value):
        return _counted(Decimal(repr(value)), unit)  # its shortest decimal, which is what the body had
    raise TimeFault(NO_TIME)


def _written(found: re.Match[str], zone: str | None) -> datetime:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    microsecond = int((found["fraction"] or "")[:6].ljust(6, "0"))
    after = timedelta(0)
    if hour == 24 and not (minute or second or int(found["fraction"] or 0)):
        hour, after = 0, timedelta(days=1)
    elif second == 60:
        second, after = 59, timedelta(seconds=1)
    try:
        day = datetime.fromisoformat(found["date"])
        moment = day.replace(
            hour=hour, minute=minute, second=second, microsecond=microsecond, tzinfo=_zone(found, zone)
        )
    except ValueError as error:
        raise TimeFault(NO_TIME) from error
    try:
        return (moment.astimezone(UTC)) + after
    except OverflowError as error:
        raise TimeFault(OUT_OF_RANGE) from error


def _zone(found: re.Match[str], zone: str | None) -> timezone | ZoneInfo:
    offset = found["offset"]
    if offset is None:
        if zone is None:
            raise TimeFault(NO_TIME)
        return ZoneInfo(zone)
    return UTC if offset in "Zz" else _fixed(offset)


@cache
def _fixed(offset: str) -> timezone:
    """Return the zone of an offset, of which there are few."""
    hours, minutes = int(offset[1:3]), int(offset[3:].removeprefix(":") or 0)
    if minutes > 59:
        raise TimeFault(NO_TIME)
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if offset[0] == "-" else ahead)  # 24 hours or more raise ValueError


def _counted(count: Decimal, unit: str) -> datetime:
    if abs(count) > _FURTHEST * 1000:
        raise TimeFault(OUT_OF_RANGE)
    try:
        return _EPOCH + timedelta(microseconds=int(count * _MICROSECONDS[unit]))
    except OverflowError as error:
        raise TimeFault(OUT_OF_RANGE) from error
