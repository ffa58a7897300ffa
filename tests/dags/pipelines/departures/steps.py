"""The step of the departures."""

import pandas as pd


def features(conform: pd.DataFrame) -> pd.DataFrame:
    """Return the hour and the day of the week of each row (UTC)."""
    at = pd.to_datetime(conform["event_time"], utc=True)
    weekday = at.dt.day_name()
    return conform[["event_id", "event_time", "origin", "departures"]].assign(hour=at.dt.hour, weekday=weekday)
