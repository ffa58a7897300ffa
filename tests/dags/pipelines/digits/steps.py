"""The step of the digits."""

import pandas as pd


def features(conform: pd.DataFrame) -> pd.DataFrame:
    """Return a column for each pixel."""
    pixels = conform["pixels"].str.split(",", expand=True).astype(float)
    pixels.columns = [f"pixel_{place}" for place in range(pixels.shape[1])]
    return pd.concat([conform[["event_id", "event_time", "digit"]], pixels], axis=1)
