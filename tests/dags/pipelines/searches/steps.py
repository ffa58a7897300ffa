"""The step of the searches."""

import pandas as pd


def features(conform: pd.DataFrame) -> pd.DataFrame:
    """Return each offer with its price as a share of the dearest one of its search."""
    dearest = conform.groupby("search")["price"].transform("max")
    columns = ["event_id", "event_time", "search", "stars", "interest"]
    return conform[columns].assign(share=conform["price"] / dearest)
