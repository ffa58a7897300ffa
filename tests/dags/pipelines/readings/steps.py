"""The steps of the readings."""

import pandas as pd


def doubled(conform: pd.DataFrame) -> pd.DataFrame:
    """Double each value."""
    return conform.assign(value=conform["value"] * 2)


def compared(doubled: pd.DataFrame, doubled_before: pd.DataFrame, doubled_after: pd.DataFrame) -> pd.DataFrame:
    """Compare each value with the day before and the day after."""
    before = float(doubled_before["value"].mean()) if len(doubled_before) else 0.0
    rows = doubled[["event_id", "event_time", "value"]].assign(before=before, after=len(doubled_after))
    return rows.assign(high=(doubled["value"] > 40).astype(int))
