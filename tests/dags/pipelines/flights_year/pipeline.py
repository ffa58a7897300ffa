"""The flights of a year: January to September train, October validates, November and December test."""

from dataclasses import replace
from datetime import date

from pipelines.flights.pipeline import PIPELINE as FLIGHTS
from sluice.declaration import DateSplit

PIPELINE = replace(
    FLIGHTS,
    name="flights_year",
    training=replace(FLIGHTS.require_training(), split=DateSplit(date(2013, 10, 1), date(2013, 11, 1))),
    deployment=replace(FLIGHTS.require_deployment(), endpoint="flights-year-late"),
)
