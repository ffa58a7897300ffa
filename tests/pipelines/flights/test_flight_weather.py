"""Weather as it is dropped, and as ``enrich`` uses it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from tests.conftest import Cloud
from tests.pipelines.flights.flight_days import conformed, days_from, enriched_from, events_from, shuffled, weather

from pipelines.flights import steps
from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.vocabulary import WEATHER
from pipelines.flights.weather import drop_weather, weather_of_day
from sluice.testing import assert_separable

DAY = date(2013, 2, 8)
# Announced at 8:00 UTC, two hours before it was due.
ANNOUNCED = "US-1117-EWR-20130208-scheduled"


def observed(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """Return observations of (origin, time, temperature); nothing else was measured."""
    table = pd.DataFrame(rows, columns=["origin", "time", "temp"]).astype({"temp": "float64"})
    table["time"] = pd.to_datetime(table["time"], utc=True).astype("datetime64[us, UTC]")
    return table.reindex(columns=["origin", "time", *WEATHER])


def temperature(now: pd.DataFrame, before: pd.DataFrame, event_id: str = ANNOUNCED) -> float:
    events = conformed(events_from(DAY, 1))
    found = steps.enrich(events[events["event_id"] == event_id], now, before)
    assert len(found) == 1
    return float(found["temp"].iloc[0])


def test_flight_of_these_tests_is_announced_at_eight() -> None:
    (event,) = [event for event in events_from(DAY, 1) if event.id == ANNOUNCED]
    assert event.event_time.isoformat() == "2013-02-08T08:00:00+00:00"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([("EWR", "2013-02-08T07:00Z", 1), ("EWR", "2013-02-08T08:00Z", 2)], 2, id="made just now"),
        pytest.param([("EWR", "2013-02-08T07:00Z", 1), ("EWR", "2013-02-08T08:01Z", 2)], 1, id="made too late"),
        pytest.param([("EWR", "2013-02-08T07:00Z", 1), ("JFK", "2013-02-08T08:00Z", 2)], 1, id="made elsewhere"),
        pytest.param([("EWR", "2013-02-08T02:00Z", 1)], 1, id="six hours old"),
        pytest.param([("EWR", "2013-02-08T01:59Z", 1)], None, id="too old"),
        pytest.param([("JFK", "2013-02-08T08:00Z", 1)], None, id="only elsewhere"),
    ],
)
def test_newest_observation_at_the_origin_before_the_announcement_is_used(
    rows: Sequence[tuple[str, str, float]], expected: float | None
) -> None:
    found = temperature(observed(*rows), observed())

    assert found == expected or (expected is None and pd.isna(found))


def test_observation_of_the_day_before_is_used() -> None:
    midnight = next(event for event in events_from(DAY, 1) if event.event_time.hour == 0)
    origin = midnight.id.split("-")[2]

    assert temperature(observed(), observed((origin, "2013-02-07T23:00Z", 7)), midnight.id) == 7


def test_days_in_one_call_have_the_rows_of_days_alone() -> None:
    days = days_from(date(2013, 2, 7), 3)
    conform = {f"dt={day}": conformed(events_from(day, 1)) for day in days}
    observations = {f"dt={day}": weather_of_day(weather(), day) for day in days_from(date(2013, 2, 6), 4)}

    frames = {"conform": conform, "weather": observations}
    assert_separable(PIPELINE, "enrich", f"dt={days[0]}..dt={days[-1]}", frames)


@pytest.mark.parametrize("nothing", [pd.DataFrame(), observed()], ids=["never written", "without rows"])
def test_without_weather_the_measurements_are_missing(nothing: pd.DataFrame) -> None:
    events = conformed(events_from(DAY, 1))

    rows = steps.enrich(events, nothing, nothing)

    assert len(rows) == len(events)
    assert rows[list(WEATHER)].isna().all(axis=None)
    assert set(rows[list(WEATHER)].dtypes) == {pd.Series([0.5]).dtype}


def test_every_event_is_kept_as_it_is_in_group_order() -> None:
    events = conformed(events_from(DAY, 1))

    rows = enriched_from(DAY, 1)[DAY]

    assert list(rows.columns) == [*events.columns, *WEATHER]
    assert_frame_equal(rows[list(events.columns)], events.sort_values(["group", "sequence_number"], ignore_index=True))


def test_shuffled_rows_give_the_same_output_in_their_order() -> None:
    events, now = conformed(events_from(DAY, 1)), weather_of_day(weather(), DAY)

    rows = steps.enrich(shuffled(events), shuffled(now), shuffled(now).iloc[:0])

    in_order = steps.enrich(events, now, now.iloc[:0])
    assert_frame_equal(rows, shuffled(in_order).reset_index(drop=True), check_exact=True)


def test_partition_without_events_returns_no_rows_of_the_same_types() -> None:
    events, now = conformed(events_from(DAY, 1)), weather_of_day(weather(), DAY)

    nothing = steps.enrich(events.iloc[:0], now, now.iloc[:0])

    assert len(nothing) == 0
    assert nothing.dtypes.to_dict() == steps.enrich(events, now, now.iloc[:0]).dtypes.to_dict()


def test_days_hold_every_observation_once() -> None:
    days = [weather_of_day(weather(), day) for day in days_from(date(2013, 1, 1), 366)]

    whole = pd.concat(days, ignore_index=True)

    assert len(whole) == 26_115
    assert_frame_equal(whole, weather().sort_values(["time", "origin"], ignore_index=True))


def test_drops_are_whole_days_with_their_marker_last_and_are_made_once(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="weather-drops")
    put: list[str] = []
    s3.meta.events.register("provide-client-params.s3.PutObject", lambda params, **_: put.append(params["Key"]))
    days = days_from(date(2013, 12, 30), 2)

    assert drop_weather(s3, "weather-drops", weather(), days) == 2
    assert drop_weather(s3, "weather-drops", weather(), days) == 0

    assert put == [
        "drops/weather/dt=2013-12-30/weather.parquet",
        "drops/weather/dt=2013-12-30/_SUCCESS",
        "drops/weather/dt=2013-12-31/weather.parquet",
        "drops/weather/dt=2013-12-31/_SUCCESS",
    ]
    known, unknown = (
        pd.read_parquet(io.BytesIO(s3.get_object(Bucket="weather-drops", Key=key)["Body"].read())) for key in put[::2]
    )
    assert_frame_equal(known, weather_of_day(weather(), days[0]))
    # The year's weather ends on the 30th, in UTC: the day after is whole, and empty.
    assert len(unknown) == 0
    assert_frame_equal(unknown, known.iloc[:0])
