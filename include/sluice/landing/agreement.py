"""The event time that most events of several flushes agree on.

A source with ``close="event_time"`` always has a backlog, so only its event times show how far it is. One event from
the future must not count, nor one flush of them: half of the events of each of the last flushes have to be as far.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sluice.records.record import Record

FLUSHES = 5


def middle_time(records: Iterable[Record]) -> datetime | None:
    """Return the event time (UTC) that at least half of the records have reached.

    Args:
        records: The records of a flush. Those without a time of their own don't count.

    Returns:
        None if no record counts.
    """
    times = sorted(record.event_time for record in records if record.event_time_from == "body")
    return times[(len(times) - 1) // 2] if times else None


def last_times(before: Sequence[datetime], more: Iterable[datetime | None]) -> tuple[datetime, ...]:
    """Return the middle times of the last flushes, as many as have to agree.

    Args:
        before: Those that are known already, the oldest first.
        more: Those of later flushes; None is left out.
    """
    return tuple([*before, *(moment for moment in more if moment is not None)][-FLUSHES:])


def agreed(times: Sequence[datetime]) -> datetime | None:
    """Return the event time (UTC) that all of the last flushes have reached; None while there are too few flushes.

    Args:
        times: Their middle times, as :func:`last_times` returns them.
    """
    return min(times) if len(times) == FLUSHES else None
