"""``features``: equal to an ordered reader, independent of later events, and the same however the stream is divided."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from tests.pipelines.flights.flight_days import (
    days_from,
    enriched,
    enriched_from,
    events_from,
    features,
    late_messages,
    shuffled,
    weather,
)
from tests.pipelines.flights.in_order import rows_in_order

from pipelines.flights import steps
from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.vocabulary import AIRCRAFT_FEATURES, AIRPORT_FEATURES, FEATURES, WEATHER
from sluice.testing import assert_separable

# A snowstorm closed the three airports on the 8th: cancellations, diversions, long delays.
STORM = days_from(date(2013, 2, 7), 3)
WINDOW = days_from(date(2013, 2, 4), 6)


def rows_of(by_day: Mapping[date, pd.DataFrame], days: Sequence[date]) -> pd.DataFrame:
    return pd.concat([features(by_day, day) for day in days], ignore_index=True)


@cache
def storm_rows() -> pd.DataFrame:
    return rows_of(enriched_from(WINDOW[0], 6), STORM)


def expected_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the ordered reader, in the form of ``features``."""
    inside = rows[rows["event_time"].dt.date.isin(STORM)].reset_index(drop=True)
    types = {"event_time": "datetime64[us, UTC]", **dict.fromkeys(FEATURES, "float64")}
    return inside[["event_id", "event_time", *FEATURES, "late"]].astype(types)


def test_rows_of_three_days_equal_those_of_an_ordered_reader() -> None:
    rows = storm_rows()

    assert len(rows) == 1813
    # Every feature varies, or equality of the two would prove little.
    assert (rows[list(FEATURES)].nunique() > 1).all()
    assert_frame_equal(rows, expected_rows(rows_in_order(events_from(WINDOW[0], 6), weather())), check_exact=True)


def test_order_of_a_group_is_that_of_its_sequence_numbers() -> None:
    late = late_messages(events_from(WINDOW[0], 6), every=100)

    rows = rows_of(enriched(late), STORM)

    assert_frame_equal(rows, expected_rows(rows_in_order(late, weather())), check_exact=True)
    # Had order no influence, the line above would prove nothing.
    assert not rows.equals(storm_rows())


def test_no_order_across_groups_is_needed() -> None:
    group_by_group = sorted(events_from(WINDOW[0], 6), key=lambda event: event.group)

    assert_frame_equal(rows_of(enriched(group_by_group), STORM), storm_rows(), check_exact=True)


def test_duplicates_change_nothing() -> None:
    sent = events_from(WINDOW[0], 6)
    again = [event for place, event in enumerate(sent) for event in [event] * (1 + (place % 10 == 0))]

    assert_frame_equal(rows_of(enriched([*again, *sent[::7]]), STORM), storm_rows(), check_exact=True)


def test_shuffled_rows_give_the_same_output() -> None:
    by_day = {day: shuffled(rows) for day, rows in enriched_from(WINDOW[0], 6).items()}

    assert_frame_equal(rows_of(by_day, STORM), storm_rows(), check_exact=True)


def test_days_in_one_call_have_the_rows_of_days_alone() -> None:
    frames = {f"dt={day}": rows for day, rows in enriched_from(WINDOW[0], 6).items()}

    assert_separable(PIPELINE, "features", f"dt={STORM[0]}..dt={STORM[-1]}", {"enrich": frames})


@pytest.mark.slow
def test_three_days_of_look_back_are_enough_for_every_row() -> None:
    # HA51 of the 9th left 21 hours late: no flight took longer from its announcement to its arrival.
    first, day = date(2013, 1, 5), date(2013, 1, 10)
    by_day = enriched_from(first, 6)

    rows = features(by_day, day, look_back=3)

    assert "HA-51-JFK-20130109-arrived" in set(rows["event_id"])
    assert_frame_equal(rows, features(by_day, day, look_back=5), check_exact=True)


def probes() -> list[str]:
    """Return arrivals of the storm days, many of aircraft that flew before on that day."""
    rows = storm_rows()
    busy = rows["event_id"][rows["legs_today"] > 0].iloc[::60]
    return sorted({*busy, *rows["event_id"].iloc[::400]})


def dropped(events: pd.DataFrame, later: pd.Series[bool], announced: pd.Series[Any]) -> pd.DataFrame:
    return events[~later]


def left_late(events: pd.DataFrame, later: pd.Series[bool], announced: pd.Series[Any]) -> pd.DataFrame:
    return rewritten(events, later, announced, "departed")


def came_late(events: pd.DataFrame, later: pd.Series[bool], announced: pd.Series[Any]) -> pd.DataFrame:
    return rewritten(events, later, announced, "arrived")


def rewritten(events: pd.DataFrame, later: pd.Series[bool], announced: pd.Series[Any], kind: str) -> pd.DataFrame:
    """Return the events with every later one replaced by a delayed one of the same number, in another weather."""
    changes = {"type": kind, "dep_delay": 700, "arr_delay": 700, **dict.fromkeys(WEATHER, -1.0)}
    changes |= {name: announced[name] for name in ("carrier", "flight", "origin", "dest")}
    return events.assign(**{name: events[name].mask(later, value) for name, value in changes.items()})


@pytest.mark.parametrize(
    "change",
    [dropped, pytest.param(left_late, marks=pytest.mark.slow), pytest.param(came_late, marks=pytest.mark.slow)],
)
def test_nothing_at_or_after_the_announcement_changes_a_feature(
    change: Callable[[pd.DataFrame, pd.Series[bool], pd.Series[Any]], pd.DataFrame],
) -> None:
    by_day = enriched_from(WINDOW[0], 6)
    whole = pd.concat([by_day[day] for day in WINDOW], ignore_index=True)
    for arrived in probes():
        own = whole["event_id"].isin([arrived, arrived.replace("-arrived", "-scheduled")])
        announced = whole[own & (whole["type"] == "scheduled")].iloc[0]
        known = (whole["group"] == announced["group"]) & (whole["sequence_number"] < announced["sequence_number"])
        later = (whole["event_time"] >= announced["event_time"]) & ~known & ~own
        assert later.sum() > 100

        events = change(whole, later, announced)
        arrival = events["event_id"] == arrived
        events = events.assign(arr_delay=events["arr_delay"].mask(arrival, 999))
        found = steps.features(events[arrival], events[~arrival])

        (expected,) = storm_rows()[storm_rows()["event_id"] == arrived].to_dict("records")
        assert_frame_equal(found, pd.DataFrame([{**expected, "late": 1}]).astype(found.dtypes), check_exact=True)


def test_earlier_events_change_features() -> None:
    by_day = dict(enriched_from(WINDOW[0], 6))
    for day in WINDOW:
        by_day[day] = by_day[day].assign(dep_delay=by_day[day]["dep_delay"] + 60)

    moved = rows_of(by_day, STORM)["last_departure_delay"] - storm_rows()["last_departure_delay"]

    assert set(moved.dropna()) == {60}


def test_late_is_fifteen_minutes_or_more() -> None:
    by_day = enriched_from(WINDOW[0], 6)
    delays = pd.concat([by_day[day] for day in STORM]).set_index("event_id")["arr_delay"]

    rows = storm_rows()

    minutes = delays.loc[rows["event_id"]].to_numpy()
    assert {14, 15} <= set(minutes)
    assert rows["late"].tolist() == [int(delay >= 15) for delay in minutes]


def test_aircraft_without_a_history_has_no_features_of_its_own() -> None:
    events = enriched_from(WINDOW[0], 6)[STORM[0]]
    one = events[events["event_id"].str.startswith("B6-1016-JFK-20130206")]
    announced = enriched_from(WINDOW[0], 6)[WINDOW[2]]

    rows = steps.features(one, announced[announced["id"] == "B6-1016-JFK-20130206-scheduled"])

    assert rows["event_id"].tolist() == ["B6-1016-JFK-20130206-arrived"]
    assert rows[list(AIRCRAFT_FEATURES)].isna().all(axis=None)
    assert rows[list(AIRPORT_FEATURES)].iloc[0].dropna().to_dict() == {
        "origin_departures": 0,
        "origin_cancellations": 0,
        "origin_overdue": 0,
        "origin_overdue_minutes": 0,
    }


def test_partition_without_rows_returns_no_rows_of_the_same_types() -> None:
    empty = enriched_from(WINDOW[0], 6)[WINDOW[0]].iloc[:0]

    for before in (pd.DataFrame(), empty):
        nothing = steps.features(empty, before)
        assert len(nothing) == 0
        assert nothing.dtypes.to_dict() == storm_rows().dtypes.to_dict()


def test_first_partition_needs_nothing_before_it() -> None:
    first = enriched_from(WINDOW[0], 6)[WINDOW[0]]

    assert_frame_equal(steps.features(first, pd.DataFrame()), steps.features(first, first.iloc[:0]), check_exact=True)
    assert len(steps.features(first, pd.DataFrame())) > 500


def test_two_flights_without_a_tail_number_share_no_history() -> None:
    sent = [
        replace(event, group="UNK-B6", body=json.dumps({**json.loads(event.body), "group": "UNK-B6", "tailnum": None}))
        for event in events_from(WINDOW[0], 6)
        if '"carrier":"B6"' in event.body
    ]

    rows = rows_of(enriched(sent), STORM)

    assert len(rows) > 100
    assert rows[list(AIRCRAFT_FEATURES)].isna().all(axis=None)
