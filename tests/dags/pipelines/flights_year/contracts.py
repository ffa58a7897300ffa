"""The contract of the flights."""

from pipelines.flights.contracts import FlightEvent

__all__ = ["FlightEvent"]
