"""The flights of 2013 as the events that an operator's system would have sent.

=========  ==================================================  =======
type       event time                                          count
=========  ==================================================  =======
scheduled  scheduled departure less two hours                  336,776
departed   scheduled departure and the departure delay         328,521
arrived    scheduled arrival and the arrival delay             327,346
cancelled  scheduled departure (the file has no better time)     8,255
diverted   scheduled arrival (for the same reason)               1,175
=========  ==================================================  =======
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from sluice.sending.lanes import Event

NOTICE = timedelta(hours=2)  # how long before its departure a flight is announced, and scored

# The order of events of one aircraft in the same minute: a flight is announced, then it leaves, then it ends.
_RANK = {"scheduled": 0, "departed": 1, "cancelled": 1, "arrived": 2, "diverted": 2}

_LONGEST = timedelta(days=2)  # from a flight's first event to its last: 34 h 42 min in this year

_SCHEDULE = ("carrier", "flight", "tailnum", "origin", "dest", "distance", "sched_dep", "sched_arr")


def event_table(flights: pd.DataFrame) -> pd.DataFrame:
    """Return every event of some flights, in the order in which they are sent.

    Args:
        flights: Rows as :func:`pipelines.flights.data.flights` returns them.

    Returns:
        One row an event: ``id``, ``group``, ``type``, ``event_time``, the schedule, ``dep_delay`` on ``departed`` and
        ``arr_delay`` on ``arrived`` (else missing). They are sorted by event time, then the rank of the type, then the
        id, so the events of one group are in their true order.
    """
    departed, arrived = flights["dep_delay"].notna(), flights["arr_delay"].notna()
    departure = flights["sched_dep"] + pd.to_timedelta(flights["dep_delay"], unit="m")
    arrival = flights["sched_arr"] + pd.to_timedelta(flights["arr_delay"], unit="m")
    table = pd.concat(
        [
            _events(flights, "scheduled", flights["sched_dep"] - NOTICE),
            _events(flights[departed], "departed", departure[departed], delay="dep_delay"),
            _events(flights[~departed], "cancelled", flights["sched_dep"][~departed]),
            _events(flights[arrived], "arrived", arrival[arrived], delay="arr_delay"),
            _events(flights[departed & ~arrived], "diverted", flights["sched_arr"][departed & ~arrived]),
        ],
        ignore_index=True,
    )
    order = table.assign(rank=table["type"].map(_RANK)).sort_values(["event_time", "rank", "id"]).index
    return table.loc[order].reset_index(drop=True)


def events_of_days(flights: pd.DataFrame, days: Collection[date]) -> Mapping[date, Sequence[Event]]:
    """Return the events of each day, in the order in which they are sent.

    Args:
        flights: Rows as :func:`pipelines.flights.data.flights` returns them.
        days: UTC days of event time; at least one.
    """
    near = flights["sched_dep"].between(_midnight(min(days)) - _LONGEST, _midnight(max(days)) + _LONGEST)
    table = event_table(flights[near])
    of_day = dict(list(table.groupby(table["event_time"].dt.floor("D"))))
    return {day: _as_events(of_day.get(pd.Timestamp(_midnight(day)), table.iloc[:0])) for day in days}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _events(flights: pd.DataFrame, kind: str, when: pd.Series[pd.Timestamp], delay: str | None = None) -> pd.DataFrame:
    leg = (
        flights["carrier"]
        + "-"
        + flights["flight"].astype(str)
        + "-"
        + flights["origin"]
        + flights["sched_dep"].dt.tz_convert("America/New_York").dt.strftime("-%Y%m%d")
    )
    nothing = pd.Series(pd.NA, index=flights.index, dtype="Int64")
    return pd.DataFrame(
        {
            "id": leg + "-" + kind,
            "group": flights["tailnum"].fillna("UNK-" + flights["carrier"]),
            "type": kind,
            "event_time": when,
            **{column: flights[column] for column in _SCHEDULE},
            **{
                column: flights[column].astype("Int64") if column == delay else nothing
                for column in ("dep_delay", "arr_delay")
            },
        }
    )


def _as_events(table: pd.DataFrame) -> list[Event]:
    bodies = table.to_json(orient="records", lines=True, date_format="iso", date_unit="s").splitlines()
    times = table["event_time"].dt.to_pydatetime()
    return [Event(*row) for row in zip(table["id"], table["group"], times, bodies, strict=True)]
