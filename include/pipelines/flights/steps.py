"""The steps after ``conform``: weather as known, and what was known two hours before each departure.

Both look only at what their window holds, never at where a partition begins, so the rows of a flight are the
same however the stream is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.flights.airports import airport_state, keyed
from pipelines.flights.vocabulary import AIRCRAFT_FEATURES, FEATURES, WEATHER, ZONE

LATE = 15  # minutes after the scheduled arrival

FRESH = pd.Timedelta(hours=6)  # an older observation says nothing of the weather now
AIRCRAFT_WINDOW = pd.Timedelta(hours=24)

_TIME = "datetime64[us, UTC]"
_TIMES = ["event_time", "sched_dep", "sched_arr"]
_NAMES = ["type", "event_id", "group", "sequence_number", "carrier", "flight", "tailnum", "origin", "dest"]
_READ = [*_NAMES, *_TIMES, "distance", "dep_delay", "arr_delay", *WEATHER]
_OF_ARRIVAL = ["event_id", "event_time", "arr_delay"]
# What an aircraft's events tell of it: without the weather, a merge takes half the time.
_TOLD = ["group", "place", "type", *_TIMES, "dep_delay", "arr_delay"]


def enrich(conform: pd.DataFrame, weather: pd.DataFrame, weather_before: pd.DataFrame) -> pd.DataFrame:
    """Each event with the newest observation at its flight's origin that was made by its event time.

    A ``scheduled`` event happens two hours before departure: it gets the weather as known then. The measurements
    (``WEATHER``) are missing where the newest observation is older than six hours. ``weather`` has ``origin``,
    ``time`` and the measurements. Rows keep their order, which is that of ``conform``.
    """
    observations = _rows([weather_before, weather], ["origin", "time", *WEATHER]).astype({"time": _TIME})
    observations = observations.sort_values(["time", "origin", *WEATHER]).astype(dict.fromkeys(WEATHER, "float64"))
    events = conform.astype({"event_time": _TIME}).reset_index(drop=True)
    by_time = events[["event_time", "origin"]].sort_values("event_time")
    observed = pd.merge_asof(
        by_time,
        observations.astype({"origin": events["origin"].dtype}),
        left_on="event_time",
        right_on="time",
        by="origin",
        tolerance=FRESH,
    ).set_axis(by_time.index)
    return events.join(observed[list(WEATHER)])


def features(enrich: pd.DataFrame, enrich_before: pd.DataFrame) -> pd.DataFrame:
    """One row for each flight that arrived in this partition: what was known when it was announced, and its label.

    ``event_id`` and ``event_time`` are those of its ``arrived`` event; ``FEATURES`` are float64, missing where
    there is nothing to tell; ``late`` is 1 if it came 15 minutes late or more. Flights whose announcement is not
    in the window are left out.

    All features are as of the ``scheduled`` event. Those of the aircraft come from the events of its group before
    that event in the group's order, of the 24 hours before it. Those of the airports, carriers and routes come from
    the events of at most 36 hours before it by event time, because a FIFO queue keeps no order across groups.
    """
    both = [
        rows.assign(is_own=is_own) for rows, is_own in ((enrich_before, False), (enrich, True)) if len(rows.columns)
    ]
    events = keyed(_rows(both, [*_READ, "is_own"]).astype(dict.fromkeys(_TIMES, _TIME)))
    events = events.assign(place=events["sequence_number"].rank(method="dense"))  # the same order, compared faster
    arrived = events.loc[(events["type"] == "arrived") & events["is_own"], ["leg_key", *_OF_ARRIVAL]]
    announced = events[events["type"] == "scheduled"].drop(columns=["event_id", "arr_delay"])
    flights = announced.rename(columns={"event_time": "as_of"}).merge(arrived, on="leg_key")
    flights = flights.sort_values(["event_time", "event_id"], ignore_index=True)
    table = pd.concat(
        [
            flights[["event_id", "event_time"]],
            _schedule(flights),
            flights[list(WEATHER)],
            _aircraft(flights, events),
            airport_state(flights, events),
        ],
        axis="columns",
    ).astype(dict.fromkeys(FEATURES, "float64"))
    table["late"] = (flights["arr_delay"] >= LATE).astype("int64")
    return table


def _schedule(flights: pd.DataFrame) -> pd.DataFrame:
    local = flights["sched_dep"].dt.tz_convert(ZONE)
    return pd.DataFrame(
        {
            "departure_minute": local.dt.hour * 60 + local.dt.minute,
            "weekday": local.dt.dayofweek,
            "block_minutes": _minutes(flights["sched_arr"] - flights["sched_dep"]),
            "distance": flights["distance"],
            "carrier_code": _code(flights["carrier"]),
            "origin_code": _code(flights["origin"]),
            "destination_code": _code(flights["dest"]),
        }
    )


def _aircraft(flights: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """``AIRCRAFT_FEATURES`` for each row of ``flights``; all missing without an aircraft or a history."""
    announced = flights.loc[flights["tailnum"].notna(), ["group", "place", "as_of", "sched_dep"]]
    # The events of the 24 hours before lie in two days, so a long window costs no more than its days do.
    days = announced["as_of"].dt.floor("D")
    asked = pd.concat([announced.assign(day=days), announced.assign(day=days - pd.Timedelta(days=1))])
    told = events.loc[events["type"] != "scheduled", _TOLD]
    of_day = told.assign(day=told["event_time"].dt.floor("D"))
    history = asked.reset_index(names="row").merge(of_day, on=["group", "day"], suffixes=("", "_event"))
    history = history[
        (history["place_event"] < history["place"])
        & (history["event_time"] <= history["as_of"])
        & (history["event_time"] >= history["as_of"] - AIRCRAFT_WINDOW)
    ].sort_values(["row", "place_event"])
    kind = history["type"]
    departures, arrivals = history[kind == "departed"], history[kind == "arrived"]
    departure, arrival = _newest(departures), _newest(arrivals)
    leg = _newest(history.loc[kind.isin(["departed", "arrived", "diverted"]), ["row", "type"]])
    settled = _newest(history.loc[kind.isin(["departed", "cancelled"]), ["row", "type"]])
    back = departure["event_time"] + 2 * (departure["sched_arr"] - departure["sched_dep_event"])
    return pd.DataFrame(
        {
            "last_arrival_delay": arrival["arr_delay"],
            "last_departure_delay": departure["dep_delay"],
            "arrival_delay_trend": _trend(arrivals),
            "hours_since_arrival": (arrival["as_of"] - arrival["event_time"]).dt.total_seconds() / 3600,
            "airborne": leg["type"] == "departed",
            "slack_minutes": _minutes(departure["sched_dep"] - back),
            "legs_today": _legs_today(departures),
            "last_cancelled": settled["type"] == "cancelled",
        },
        index=flights.index,
        columns=list(AIRCRAFT_FEATURES),
    ).astype("float64")


def _newest(history: pd.DataFrame) -> pd.DataFrame:
    """The newest event of each row's history, by row."""
    return history.drop_duplicates("row", keep="last").set_index("row")


def _trend(arrivals: pd.DataFrame) -> pd.Series[Any]:
    """Mean delay of the newest four arrivals, weighed 8, 4, 2, 1: whole numbers, so no order of sums changes it."""
    age = arrivals.groupby("row").cumcount(ascending=False)
    weight = 8 // 2**age
    rows = arrivals["row"]
    return (arrivals["arr_delay"] * weight).groupby(rows).sum() / weight.groupby(rows).sum()


def _legs_today(departures: pd.DataFrame) -> pd.Series[Any]:
    today = _local_day(departures["sched_dep_event"]) == _local_day(departures["sched_dep"])
    return today.groupby(departures["row"]).sum()


def _local_day(times: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    days: pd.Series[pd.Timestamp] = times.dt.tz_convert(ZONE).dt.normalize()
    return days


def _code(codes: pd.Series[str]) -> pd.Series[float]:
    """A code of letters and digits as a number in base 36: in alphabetical order, whatever data is at hand."""
    places, found = pd.factorize(codes)
    return pd.Series(np.array([int(code, 36) for code in found], "float64")[places], codes.index)


def _minutes(spans: pd.Series[pd.Timedelta]) -> pd.Series[float]:
    return spans.dt.total_seconds() / 60


def _rows(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """The rows of all frames. A frame without columns is a partition that was never written: it has no types."""
    written = [frame[list(columns)] for frame in frames if len(frame.columns)]
    return pd.concat(written, ignore_index=True) if written else pd.DataFrame(columns=list(columns))
