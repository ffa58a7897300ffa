"""The steps of the flights."""

from pipelines.flights.steps import enrich, features

__all__ = ["enrich", "features"]
