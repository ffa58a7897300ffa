"""The steps of the example."""

import pandas as pd


def features(conform: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Return one row per event, with the mean wind of its partition.

    Args:
        conform: One row per event.
        weather: The observations of the partition.
    """
    return conform.assign(wind=weather["wind"].mean())
