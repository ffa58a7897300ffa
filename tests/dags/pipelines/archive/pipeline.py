"""Readings that are only kept: a pipeline that ends at its lake."""

from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Pipeline

PIPELINE = Pipeline(
    name="archive",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("readings", event_id="id", event_time="at"),),
    steps=(Conform("conform", source="readings", contract="contracts:Reading"),),
)
