"""When the days of a zone begin. A midnight may come twice, or not at all, and a zone may skip a whole day."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from io import BytesIO
from pkgutil import get_data
from zoneinfo import ZoneInfo

# The time zone database knows no offsets before 1840 but local mean time. After 2037 its rules repeat, and none of them
# skips a day.
_FIRST, _LAST = datetime(1840, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=28)
# Between two samples an offset may also change for the summer.
_NEARLY_A_DAY = timedelta(hours=20)


@lru_cache
def zone_named(name: str) -> tzinfo:
    """Return a zone by its IANA name.

    Its rules are those of the package tzdata, whose version is pinned. Those of the operating system differ from one
    runtime to the next, and then a step would not give the same bytes everywhere (P16).

    Args:
        name: The name. UTC is Python's own zone, which is faster.

    Raises:
        OSError, ValueError: there is no such zone.
    """
    if name == "UTC":
        return UTC
    rules = get_data("tzdata", f"zoneinfo/{name}")
    return ZoneInfo.from_file(BytesIO(rules or b""), key=name)


def first_moment(time: datetime, zone: tzinfo) -> datetime:
    """Return the first moment (UTC) at which the clocks of a zone show a time or a later one.

    So a midnight that clocks show twice is the first of the two, and one that they skip is the moment at which they do.

    Args:
        time: The time, without a zone.
        zone: The zone.
    """
    return time.replace(tzinfo=UTC) if zone is UTC else _first_moment(time, zone)


@lru_cache(10_000)  # landing asks for each event
def _first_moment(time: datetime, zone: tzinfo) -> datetime:
    found = time.replace(tzinfo=zone).astimezone(UTC)
    if _shown(found, zone) == time:
        return found
    # The time is skipped. By the offset before that, it is not earlier than the change; by the one after, it is.
    early = time.replace(tzinfo=zone, fold=1).astimezone(UTC)
    seconds = range(1, int((found - early).total_seconds()) + 1)
    after = bisect_left(seconds, True, key=lambda n: _shown(early + timedelta(seconds=n), zone) >= time)
    return early + timedelta(seconds=seconds[after])


def _begins(day: int, zone: tzinfo) -> datetime:
    return first_moment(datetime.fromordinal(day), zone)


def _shown(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


@lru_cache
def skipped_days(name: str) -> tuple[int, ...]:
    """Return the days that a zone has skipped, such as 2011-12-30 in Pacific/Apia, as proleptic Gregorian ordinals.

    Only an offset that grows by a day skips one, as when a place moves to the other side of the date line.

    Args:
        name: The IANA name of the zone.
    """
    zone, found = zone_named(name), list[int]()
    sample, before = _FIRST, _FIRST.astimezone(zone).utcoffset()
    while sample < _LAST:
        sample += _STEP
        offset = sample.astimezone(zone).utcoffset()
        if offset is not None and before is not None and offset - before > _NEARLY_A_DAY:
            days = range(sample.toordinal() - _STEP.days - 1, sample.toordinal() + 2)
            found += [day for day in days if _begins(day, zone) == _begins(day + 1, zone)]
        before = offset
    return tuple(found)
