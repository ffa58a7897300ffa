"""The stream of events is the one that the flights of the file would have produced."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from tests.pipelines.flights.flight_days import days_from, events_from, flights

from pipelines.flights.events import event_table, events_of_days
from sluice.sources.queue.send import encoded

FIRST = date(2013, 1, 1)
PLACE = {"scheduled": 0, "departed": 1, "cancelled": 1, "arrived": 2, "diverted": 2}


def bodies(first: date, count: int) -> list[dict[str, Any]]:
    return [json.loads(event.body) for event in events_from(first, count)]


def clock(time: str, zone: str) -> int:
    """Return HHMM on a clock of that zone; midnight is 2400, as the file writes it."""
    local = datetime.fromisoformat(time).astimezone(ZoneInfo(zone))
    return local.hour * 100 + local.minute or 2400


def test_flight_to_another_time_zone_has_its_events_in_utc() -> None:
    events = {body["type"]: body for body in bodies(FIRST, 1) if body["id"].startswith("UA-1545-EWR-20130101-")}

    # Sched. 5:15 in New York, left 2 minutes late; due 8:19 in Houston, an hour behind, came 11 minutes late.
    times = {kind: body["event_time"] for kind, body in events.items()}
    assert times == {
        "scheduled": "2013-01-01T08:15:00Z",
        "departed": "2013-01-01T10:17:00Z",
        "arrived": "2013-01-01T14:30:00Z",
    }
    assert events["departed"] == {
        "id": "UA-1545-EWR-20130101-departed",
        "group": "N14228",
        "type": "departed",
        "event_time": "2013-01-01T10:17:00Z",
        "carrier": "UA",
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400,
        "sched_dep": "2013-01-01T10:15:00Z",
        "sched_arr": "2013-01-01T14:19:00Z",
        "dep_delay": 2,
        "arr_delay": None,
    }
    assert events["arrived"]["arr_delay"] == 11
    assert events["arrived"]["dep_delay"] is None
    assert events["scheduled"]["dep_delay"] is None


@pytest.mark.parametrize("first", [date(2013, 3, 9), date(2013, 11, 2)], ids=["spring", "autumn"])
def test_local_times_equal_those_of_the_file_even_when_clocks_change(first: date) -> None:
    table = flights()
    leg = table["carrier"] + "-" + table["flight"].astype(str) + "-" + table["origin"]
    leg += "-" + (table["year"] * 10000 + table["month"] * 100 + table["day"]).astype(str)
    raw = table.set_index(leg)[["dep_time", "arr_time"]].to_dict("index")
    # Two zones that change their clocks, one that doesn't.
    zones = {"LAX": "America/Los_Angeles", "PHX": "America/Phoenix", "SJU": "America/Puerto_Rico"}
    seen = defaultdict[str, int](int)
    for body in bodies(first, 3):
        flight = raw[body["id"].rsplit("-", 1)[0]]
        if body["type"] == "departed":
            assert clock(body["event_time"], "America/New_York") == flight["dep_time"], body
        if body["type"] == "arrived" and body["dest"] in zones:
            assert clock(body["event_time"], zones[body["dest"]]) == flight["arr_time"], body
            seen[body["dest"]] += 1
    assert set(seen) == set(zones)
    assert sum(seen.values()) > 150


def test_groups_are_aircraft_and_ids_are_unique() -> None:
    events = bodies(date(2013, 2, 7), 3)

    assert len({body["id"] for body in events}) == len(events)
    assert all(body["group"] == (body["tailnum"] or f"UNK-{body['carrier']}") for body in events)
    nameless = [body for body in events if body["tailnum"] is None]
    assert {body["type"] for body in nameless} == {"scheduled", "cancelled"}
    assert all(encoded(body["id"]) == body["id"] and encoded(body["group"]) == body["group"] for body in events)


def test_envelope_and_body_agree() -> None:
    for event in events_from(FIRST, 1):
        body = json.loads(event.body)
        assert (event.id, event.group) == (body["id"], body["group"])
        assert event.event_time == datetime.fromisoformat(body["event_time"])


def test_group_is_sent_in_the_order_in_which_it_happened() -> None:
    groups = defaultdict(list)
    for body in bodies(date(2013, 2, 7), 3):
        groups[body["group"]].append(body)
    ties = 0
    for group in groups.values():
        for earlier, later in pairwise(group):
            assert earlier["event_time"] <= later["event_time"]
            if earlier["event_time"] == later["event_time"]:
                assert PLACE[earlier["type"]] <= PLACE[later["type"]]
                ties += 1
    assert ties > 0


def test_day_holds_the_events_of_its_own_time_even_of_very_late_flights() -> None:
    days = days_from(date(2013, 1, 9), 2)
    alone = {day: events_of_days(flights(), [day])[day] for day in days}

    together = events_of_days(flights(), days)

    assert together == alone
    # Hawaiian 51 of the 9th left 21 hours late.
    where = {event.id: day for day, events in together.items() for event in events if "HA-51-JFK-20130109" in event.id}
    assert where == {
        "HA-51-JFK-20130109-scheduled": days[0],
        "HA-51-JFK-20130109-departed": days[1],
        "HA-51-JFK-20130109-arrived": days[1],
    }
    assert all(event.event_time.astimezone(UTC).date() == day for day in days for event in together[day])


def test_three_days_have_the_known_counts() -> None:
    assert [len(events_from(day, 1)) for day in days_from(FIRST, 3)] == [1997, 2776, 2763]


@pytest.mark.slow
def test_year_has_the_known_counts() -> None:
    table = event_table(flights())

    assert table["type"].value_counts().to_dict() == {
        "scheduled": 336_776,
        "departed": 328_521,
        "arrived": 327_346,
        "cancelled": 8_255,
        "diverted": 1_175,
    }
    assert len(table) == 1_002_073
    assert table["group"].nunique() == 4_050
    assert table["id"].is_unique
    by_day = table.groupby(table["event_time"].dt.floor("D")).size()
    assert (by_day.min(), int(by_day.median()), by_day.max()) == (373, 2847, 3055)
    ordered = table.sort_values("group", kind="stable")
    same = (ordered["group"] == ordered["group"].shift()) & (ordered["event_time"] == ordered["event_time"].shift())
    assert same.sum() == 848
    ranks = ordered["type"].map(PLACE)
    assert (ranks.shift()[same] <= ranks[same]).all()
    assert (table["arr_delay"].dropna() >= 15).mean() == pytest.approx(0.2447, abs=5e-5)
    assert table["event_time"].max() == pd.Timestamp("2014-01-01T09:01:00Z")
