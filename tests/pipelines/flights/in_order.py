"""The rows of ``features`` as a reader of the stream would compute them: event by event, in plain Python.

It shares no code with the step, so that the two can be compared.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from operator import itemgetter
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import pandas as pd

from sluice.sending.lanes import Event

Body = dict[str, Any]
T = TypeVar("T")

NEW_YORK = ZoneInfo("America/New_York")
DAY = timedelta(hours=24)
RECENT = timedelta(hours=3)
LONGEST_WAIT = timedelta(hours=6)
NEVER = datetime.max.replace(tzinfo=UTC)
SAME_FLIGHT = timedelta(hours=36)
FRESH = timedelta(hours=6)
MEASUREMENTS = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


class Aircraft:
    """The events of one aircraft so far."""

    def __init__(self) -> None:
        self.past: list[Body] = []

    def add(self, body: Body) -> None:
        self.past.append(body)

    def known_at(self, announced: Body) -> dict[str, float]:
        state = {"airborne": nan, "last_cancelled": nan, "last_departure_delay": nan, "last_arrival_delay": nan}
        state |= {"hours_since_arrival": nan, "slack_minutes": nan, "legs_today": nan, "arrival_delay_trend": nan}
        now, leaves = announced["event_time"], announced["sched_dep"]
        delays: list[int] = []
        for body in self.past:
            if not now - DAY <= body["event_time"] <= now:
                continue
            match body["type"]:
                case "departed":
                    state["airborne"], state["last_cancelled"] = 1, 0
                    state["last_departure_delay"] = body["dep_delay"]
                    block = body["sched_arr"] - body["sched_dep"]
                    back = body["event_time"] + block + block
                    state["slack_minutes"] = (leaves - back).total_seconds() / 60
                    legs = 0 if isnan(state["legs_today"]) else state["legs_today"]
                    state["legs_today"] = legs + (day_of(body["sched_dep"]) == day_of(leaves))
                case "arrived":
                    state["airborne"] = 0
                    state["last_arrival_delay"] = body["arr_delay"]
                    state["hours_since_arrival"] = (now - body["event_time"]).total_seconds() / 3600
                    delays = [body["arr_delay"], *delays][:4]
                    weights = [8, 4, 2, 1][: len(delays)]
                    weighed = sum(weight * delay for weight, delay in zip(weights, delays, strict=True))
                    state["arrival_delay_trend"] = weighed / sum(weights)
                case "diverted":
                    state["airborne"] = 0
                case "cancelled":
                    state["last_cancelled"] = 1
        return state


class Ledger(Generic[T]):
    """Values by key and time, looked up by the time before now."""

    def __init__(self, entries: Iterable[tuple[str, datetime, T]]) -> None:
        self.entries: dict[str, list[tuple[datetime, T]]] = defaultdict(list)
        for key, time, value in sorted(entries):
            self.entries[key].append((time, value))

    def recent(self, key: str, now: datetime, window: timedelta = RECENT) -> list[T]:
        """Return the values of the window before now; what happens now is not yet known."""
        entries = self.entries[key]
        first, end = (bisect_left(entries, time, key=itemgetter(0)) for time in (now - window, now))
        return [value for _, value in entries[first:end]]


def day_of(time: datetime) -> str:
    return time.astimezone(NEW_YORK).strftime("%Y-%m-%d")


def mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / len(numbers) if numbers else nan


def rows_in_order(sent: Iterable[Event], weather: pd.DataFrame) -> pd.DataFrame:
    """Return a row per arrival, by arrival time and id, for events that were sent in this order."""
    bodies = [read(event) for event in sent]
    airports, due = airport_ledgers(bodies), schedules(bodies)
    observed = {str(origin): rows.sort_values("time").to_dict("records") for origin, rows in weather.groupby("origin")}
    aircraft: dict[str, Aircraft] = defaultdict(Aircraft)
    announced: dict[str, dict[str, float]] = {}
    for body in bodies:
        if body["type"] == "scheduled":
            announced[flight_of(body)] = {
                **schedule(body),
                **observation(observed[body["origin"]], body["event_time"]),
                **aircraft[body["group"]].known_at(body),
                **airport_state(airports, body),
                **overdue(due, body),
            }
        aircraft[body["group"]].add(body)
    rows = [
        {
            "event_id": body["id"],
            "event_time": body["event_time"],
            **announced[flight_of(body)],
            "late": int(body["arr_delay"] >= 15),
        }
        for body in bodies
        if body["type"] == "arrived" and flight_of(body) in announced
    ]
    return pd.DataFrame(rows).sort_values(["event_time", "event_id"], ignore_index=True)


def read(event: Event) -> Body:
    body: Body = json.loads(event.body)
    times = {name: datetime.fromisoformat(body[name]) for name in ("event_time", "sched_dep", "sched_arr")}
    return {**body, **times}


def flight_of(body: Body) -> str:
    return str(body["id"]).removesuffix(f"-{body['type']}")


def schedule(body: Body) -> dict[str, float]:
    local = body["sched_dep"].astimezone(NEW_YORK)
    return {
        "departure_minute": local.hour * 60 + local.minute,
        "weekday": local.weekday(),
        "block_minutes": (body["sched_arr"] - body["sched_dep"]).total_seconds() / 60,
        "distance": body["distance"],
        "carrier_code": int(body["carrier"], 36),
        "origin_code": int(body["origin"], 36),
        "destination_code": int(body["dest"], 36),
    }


def observation(observed: Sequence[Mapping[Any, Any]], now: datetime) -> dict[str, float]:
    place = bisect_right(observed, now, key=itemgetter("time")) - 1
    if place < 0 or now - observed[place]["time"] > FRESH:
        return dict.fromkeys(MEASUREMENTS, nan)
    return {name: observed[place][name] for name in MEASUREMENTS}


def airport_ledgers(bodies: Sequence[Body]) -> Mapping[str, Ledger[int]]:
    departed = [body for body in bodies if body["type"] == "departed"]
    arrived = [body for body in bodies if body["type"] == "arrived"]
    left_late = {flight_of(body): body["dep_delay"] for body in departed}
    gained = [
        (body, body["arr_delay"] - left_late[flight_of(body)]) for body in arrived if flight_of(body) in left_late
    ]
    return {
        "origin": Ledger((body["origin"], body["event_time"], body["dep_delay"]) for body in departed),
        "carrier": Ledger((body["carrier"], body["event_time"], body["dep_delay"]) for body in departed),
        "destination": Ledger((body["dest"], body["event_time"], body["arr_delay"]) for body in arrived),
        "route": Ledger((route_of(body), body["event_time"], body["arr_delay"]) for body in arrived),
        "number": Ledger((number_of(body), body["event_time"], body["arr_delay"]) for body in arrived),
        "destination gain": Ledger((body["dest"], body["event_time"], gain) for body, gain in gained),
        "route gain": Ledger((route_of(body), body["event_time"], gain) for body, gain in gained),
        "cancelled": Ledger((body["origin"], body["event_time"], 1) for body in bodies if body["type"] == "cancelled"),
    }


def schedules(bodies: Sequence[Body]) -> Ledger[tuple[datetime, datetime]]:
    """Return by origin and scheduled departure: that time again, and when the flight left or was cancelled, if ever."""
    left = {flight_of(body): body["event_time"] for body in bodies if body["type"] in ("departed", "cancelled")}
    return Ledger(
        (body["origin"], body["sched_dep"], (body["sched_dep"], left.get(flight_of(body), NEVER)))
        for body in bodies
        if body["type"] == "scheduled"
    )


def airport_state(airports: Mapping[str, Ledger[int]], announced: Body) -> dict[str, float]:
    now, dest, route = announced["event_time"], announced["dest"], route_of(announced)
    departures = airports["origin"].recent(announced["origin"], now)
    return {
        "origin_departures": len(departures),
        "origin_departure_delay": mean(departures),
        "origin_cancellations": len(airports["cancelled"].recent(announced["origin"], now)),
        "carrier_departure_delay": mean(airports["carrier"].recent(announced["carrier"], now)),
        "destination_arrival_delay": mean(airports["destination"].recent(dest, now)),
        "destination_delay_of_day": mean(airports["destination"].recent(dest, now, DAY)),
        "destination_gain_of_day": mean(airports["destination gain"].recent(dest, now, DAY)),
        "route_delay_of_day": mean(airports["route"].recent(route, now, DAY)),
        "route_gain_of_day": mean(airports["route gain"].recent(route, now, DAY)),
        "same_flight_delay": mean(airports["number"].recent(number_of(announced), now, SAME_FLIGHT)),
    }


def overdue(due: Ledger[tuple[datetime, datetime]], announced: Body) -> dict[str, float]:
    now = announced["event_time"]
    waits = [now - leaves for leaves, left in due.recent(announced["origin"], now, LONGEST_WAIT) if left >= now]
    minutes = sum(waits, timedelta()).total_seconds() / 60
    return {"origin_overdue": len(waits), "origin_overdue_minutes": minutes}


def route_of(body: Body) -> str:
    return f"{body['carrier']} to {body['dest']}"


def number_of(body: Body) -> str:
    return f"{body['carrier']} {body['flight']}"
