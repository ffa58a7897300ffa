"""What the recent events of airports, carriers and routes say about a flight, by event time.

A FIFO queue keeps no order across aircraft, so nothing here depends on the order of events. Each number is a total over
facts that hold from one time until another, at the time of the flight's announcement. The totals are of whole numbers,
hence exact wherever the window begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.flights.vocabulary import AIRPORT_FEATURES

RECENT = pd.Timedelta(hours=3)
OVERDUE = pd.Timedelta(hours=6)  # a flight that left later than this counts no more: its event may be lost
DAY = pd.Timedelta(hours=24)
SAME_FLIGHT = pd.Timedelta(hours=36)  # from yesterday's arrival to today's announcement, and some delay

KEYS = {
    "origin_key": ["origin"],
    "dest_key": ["dest"],
    "carrier_key": ["carrier"],
    "route_key": ["carrier", "dest"],
    "number_key": ["carrier", "flight"],
    "leg_key": ["carrier", "flight", "origin", "sched_dep"],
}
_READ = ["type", "event_time", "sched_dep", "dep_delay", "arr_delay", *KEYS]


def keyed(events: pd.DataFrame) -> pd.DataFrame:
    """Add ``KEYS``: numbers, the same for equal names, which are compared faster than texts."""
    names = dict.fromkeys(name for of_key in KEYS.values() for name in of_key)
    numbered = {name: pd.factorize(events[name]) for name in names}
    return events.assign(**{key: _joined([numbered[name] for name in of_key]) for key, of_key in KEYS.items()})


def _joined(numbered: Sequence[tuple[npt.NDArray[np.int64], Any]]) -> npt.NDArray[np.int64]:
    """Return one number for each row: the same for equal numbers, each of which comes with its different values."""
    joined = np.zeros(len(numbered[0][0]), "int64")
    for numbers, values in numbered:
        joined = joined * len(values) + numbers
    return joined


def airport_state(flights: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Return ``AIRPORT_FEATURES`` for each row of ``flights``, from the events before its ``as_of``.

    Args:
        flights: The rows of ``scheduled`` events, with the time of the event as ``as_of``.
        events: All events of the window, in any order, with their ``KEYS``, as :func:`keyed` adds them.

    Returns:
        One row for each row of ``flights``, with its index; delays in minutes, missing where no event tells them.
    """
    events = events[_READ]
    departed, cancelled, arrived = (events[events["type"] == kind] for kind in ("departed", "cancelled", "arrived"))
    arrived = _with_gain(arrived, departed)
    gained = arrived.dropna(subset="gain")
    leaving = _recent(flights, departed, RECENT, "origin_key", "dep_delay")
    waiting = _overdue(flights, events)
    columns = {
        "origin_departures": leaving["count"],
        "origin_departure_delay": _mean(leaving),
        "origin_cancellations": _recent(flights, cancelled, RECENT, "origin_key")["count"],
        "origin_overdue": waiting["count"],
        "origin_overdue_minutes": (waiting["count"] * _seconds(flights["as_of"]) - waiting["total"]) / 60,
        "carrier_departure_delay": _mean(_recent(flights, departed, RECENT, "carrier_key", "dep_delay")),
        "destination_arrival_delay": _mean(_recent(flights, arrived, RECENT, "dest_key", "arr_delay")),
        "destination_delay_of_day": _mean(_recent(flights, arrived, DAY, "dest_key", "arr_delay")),
        "destination_gain_of_day": _mean(_recent(flights, gained, DAY, "dest_key", "gain")),
        "route_delay_of_day": _mean(_recent(flights, arrived, DAY, "route_key", "arr_delay")),
        "route_gain_of_day": _mean(_recent(flights, gained, DAY, "route_key", "gain")),
        "same_flight_delay": _mean(_recent(flights, arrived, SAME_FLIGHT, "number_key", "arr_delay")),
    }
    return pd.DataFrame(columns, columns=list(AIRPORT_FEATURES))


def _with_gain(arrived: pd.DataFrame, departed: pd.DataFrame) -> pd.DataFrame:
    """Add ``gain``: the minutes of delay that came after the departure; missing without a departure in the window."""
    left_late = departed.groupby("leg_key")["dep_delay"].min()
    return arrived.assign(gain=arrived["arr_delay"] - arrived["leg_key"].map(left_late))


def _overdue(flights: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Return totals over the flights that should have left before each announcement; ``total`` is of seconds.

    A flight is overdue from its scheduled departure until it left or was cancelled. That it leaves later tells nothing
    earlier: until then the fact holds all the same.
    """
    announced = events[events["type"] == "scheduled"]
    settled = events[events["type"].isin(["departed", "cancelled"])].groupby("leg_key")["event_time"].min()
    start = announced["sched_dep"]
    left = settled.reindex(announced["leg_key"]).set_axis(announced.index)
    end = left.fillna(start + OVERDUE).clip(lower=start, upper=start + OVERDUE)
    begun, ended = (_Running(announced["origin_key"], times, _seconds(start)) for times in (start, end))
    return begun.before(flights["origin_key"], flights["as_of"]) - ended.before(flights["origin_key"], flights["as_of"])


def _recent(
    flights: pd.DataFrame, events: pd.DataFrame, window: pd.Timedelta, key: str, value: str | None = None
) -> pd.DataFrame:
    """Return totals of a value over the events of the window before each announcement that have the flight's key."""
    running = _Running(events[key], events["event_time"], 0 if value is None else events[value])
    return running.before(flights[key], flights["as_of"]) - running.before(flights[key], flights["as_of"] - window)


class _Running:
    """Running sums over facts of several keys, in the order of their times.

    Args:
        keys: The key of each fact.
        times: When it happened.
        values: A whole number of each.
    """

    def __init__(self, keys: pd.Series[int], times: pd.Series[pd.Timestamp], values: pd.Series[int] | int) -> None:
        moments = _instants(times)
        self._first, self._last = (int(moments.min()), int(moments.max())) if len(moments) else (0, 0)
        places = self._places(keys, moments)
        order = np.argsort(places)
        numbers = pd.DataFrame({"count": 1, "total": values}, keys.index, dtype="int64").to_numpy()
        self._known = places[order]
        self._sums = np.concatenate([np.zeros((1, 2), "int64"), np.cumsum(numbers[order], axis=0)])

    def before(self, keys: pd.Series[int], times: pd.Series[pd.Timestamp]) -> pd.DataFrame:
        """Return ``count`` and ``total`` of the facts of smaller keys, and of those of the same key before a time.

        Only a difference of two says something: in it, all smaller keys cancel each other.
        """
        moments = np.clip(_instants(times), self._first, self._last + 1)
        sums = self._sums[np.searchsorted(self._known, self._places(keys, moments))]
        return pd.DataFrame(sums, keys.index, columns=["count", "total"])

    def _places(self, keys: pd.Series[int], moments: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return whole numbers in the order of the keys, and of the moments of one key."""
        placed: npt.NDArray[np.int64] = keys.to_numpy() * (self._last - self._first + 2) + moments - self._first
        return placed


def _mean(totals: pd.DataFrame) -> pd.Series[float]:
    return totals["total"] / totals["count"]


def _seconds(times: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    return pd.Series(_instants(times) // 1_000_000, times.index)


def _instants(times: pd.Series[pd.Timestamp]) -> npt.NDArray[np.int64]:
    return times.to_numpy("datetime64[us]").view("int64")
