"""A flight's event with the producer's own count within its aircraft, as a standard queue needs one."""

from __future__ import annotations

from pipelines.flights.contracts import FlightEvent


class CountedEvent(FlightEvent):
    sequence: int
