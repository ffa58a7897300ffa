"""The steps of the example."""

import pandas as pd


def features(conform: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """One row per event, with the mean wind of its partition."""
    return conform.assign(wind=weather["wind"].mean())
