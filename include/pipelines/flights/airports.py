"""What the recent events of airports, carriers and routes say about a flight, by event time.

A FIFO queue keeps no order across aircraft, so nothing here depends on the order of events. Each number is a total over
facts that hold from one time until another, at the time of the flight's announcement. The totals are of whole numbers,
hence exact wherever the window begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.flights.vocabulary import AIRPORT_FEATURES

RECENT = pd.Timedelta(hours=3)
OVERDUE = pd.Timedelta(hours=6)  # a flight that left later than this counts no more: its event may be lost
DAY = pd.Timedelta(hours=24)
SAME_FLIGHT = pd.Timedelta(hours=36)  # from yesterday's arrival to today's announcement, and some delay

_LEG = ["carrier", "flight", "origin", "sched_dep"]
_NAMES = ["carrier", "flight", "origin", "dest"]
_READ = [*_LEG, "type", "event_time", "dest", "dep_delay", "arr_delay"]


def airport_state(flights: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Return ``AIRPORT_FEATURES`` for each row of ``flights``, from the events before its ``as_of``.

    Args:
        flights: The rows of ``scheduled`` events, with the time of the event as ``as_of``.
        events: All events of the window, in any order.

    Returns:
        One row for each row of ``flights``, with its index; delays in minutes, missing where no event tells them.
    """
    flights, events = _numbered(flights[["as_of", *_NAMES]], events[_READ])
    events["leg"] = events.groupby(_LEG, sort=False).ngroup()
    departed, cancelled = (events[events["type"] == kind] for kind in ("departed", "cancelled"))
    arrived = _with_gain(events[events["type"] == "arrived"], departed)
    gained = arrived.dropna(subset="gain")
    leaving = _totals(flights, _held(departed, RECENT), ["origin"], "dep_delay")
    waiting = _totals(flights, _overdue(events), ["origin"], "since")
    columns = {
        "origin_departures": leaving["count"],
        "origin_departure_delay": _mean(leaving),
        "origin_cancellations": _totals(flights, _held(cancelled, RECENT), ["origin"])["count"],
        "origin_overdue": waiting["count"],
        "origin_overdue_minutes": (waiting["count"] * _seconds(flights["as_of"]) - waiting["total"]) / 60,
        "carrier_departure_delay": _mean(_totals(flights, _held(departed, RECENT), ["carrier"], "dep_delay")),
        "destination_arrival_delay": _mean(_totals(flights, _held(arrived, RECENT), ["dest"], "arr_delay")),
        "destination_delay_of_day": _mean(_totals(flights, _held(arrived, DAY), ["dest"], "arr_delay")),
        "destination_gain_of_day": _mean(_totals(flights, _held(gained, DAY), ["dest"], "gain")),
        "route_delay_of_day": _mean(_totals(flights, _held(arrived, DAY), ["carrier", "dest"], "arr_delay")),
        "route_gain_of_day": _mean(_totals(flights, _held(gained, DAY), ["carrier", "dest"], "gain")),
        "same_flight_delay": _mean(_totals(flights, _held(arrived, SAME_FLIGHT), ["carrier", "flight"], "arr_delay")),
    }
    return pd.DataFrame(columns, columns=list(AIRPORT_FEATURES))


def _numbered(flights: pd.DataFrame, events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both with a number for each name, the same for equal names: numbers are compared faster than texts."""
    numbers = {name: pd.factorize(pd.concat([flights[name], events[name]]))[0] for name in _NAMES}
    asked = {name: each[: len(flights)] for name, each in numbers.items()}
    told = {name: each[len(flights) :] for name, each in numbers.items()}
    return flights.assign(**asked), events.assign(**told)


def _with_gain(arrived: pd.DataFrame, departed: pd.DataFrame) -> pd.DataFrame:
    """Add ``gain``: the minutes of delay that came after the departure; missing without a departure in the window."""
    left_late = departed.groupby("leg")["dep_delay"].min()
    return arrived.assign(gain=arrived["arr_delay"] - arrived["leg"].map(left_late))


def _overdue(events: pd.DataFrame) -> pd.DataFrame:
    """Each announced flight from its scheduled departure until it left or was cancelled; ``since`` is in seconds.

    That it leaves later tells nothing earlier: until then the fact holds all the same.
    """
    announced = events[events["type"] == "scheduled"]
    settled = events[events["type"].isin(["departed", "cancelled"])].groupby("leg")["event_time"].min()
    start = announced["sched_dep"]
    left = settled.reindex(announced["leg"]).set_axis(announced.index)
    end = left.fillna(start + OVERDUE).clip(lower=start, upper=start + OVERDUE)
    return announced.assign(start=start, end=end, since=_seconds(start))


def _held(events: pd.DataFrame, window: pd.Timedelta) -> pd.DataFrame:
    """Each event as a fact that holds for the window after it."""
    return events.assign(start=events["event_time"], end=events["event_time"] + window)


def _totals(flights: pd.DataFrame, facts: pd.DataFrame, by: Sequence[str], value: str | None = None) -> pd.DataFrame:
    """Return ``count`` of, and ``total`` value over, the facts that hold at each flight's ``as_of``.

    They are those with the flight's ``by``. A fact holds at a time if it began before that time and did not end
    before it.
    """
    keys = pd.concat([flights[list(by)], facts[list(by)]]).groupby(list(by), sort=False).ngroup().to_numpy()
    asked_key, key = keys[: len(flights)], keys[len(flights) :]
    asked, start, end = (_instants(times).to_numpy() for times in (flights["as_of"], facts["start"], facts["end"]))
    times = np.concatenate([asked, start, end])
    first, last = (times.min(), times.max()) if len(times) else (0, 0)
    numbers = np.ones((len(facts), 2), "int64")
    if value is not None:
        numbers[:, 1] = facts[value].astype("int64")

    def places(keys: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Return whole numbers in the order of the keys, and of the moments of one key."""
        placed: np.ndarray = keys * (last - first + 1) + (moments - first)
        return placed

    def before(moments: np.ndarray) -> np.ndarray:
        """Return the sums over the moments of smaller keys, and of the same key before the time asked."""
        known = places(key, moments)
        order = np.argsort(known, kind="stable")
        running = np.concatenate([np.zeros((1, 2), "int64"), np.cumsum(numbers[order], axis=0)])
        return running[np.searchsorted(known[order], places(asked_key, asked))]

    # What began and ended under a smaller key is in both sums.
    return pd.DataFrame(before(start) - before(end), columns=["count", "total"], index=flights.index)


def _mean(totals: pd.DataFrame) -> pd.Series[float]:
    return totals["total"] / totals["count"]


def _seconds(times: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    return _instants(times) // 1_000_000


def _instants(times: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    return times.dt.as_unit("us").astype("int64")
