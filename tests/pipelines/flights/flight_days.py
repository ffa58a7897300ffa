"""The real flights, as their events pass from the queue to a step's DataFrame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa
from tests.draining import record_from_sqs

from pipelines.flights import data, steps
from pipelines.flights.contracts import FlightEvent
from pipelines.flights.events import events_of_days
from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.weather import weather_of_day
from sluice.contracts.reading import Contract
from sluice.declaration.sources import FifoQueue
from sluice.records.record import SCHEMA
from sluice.sending.lanes import Event
from sluice.sources.queue.send import encoded
from sluice.steps.conform import conform
from sluice.steps.frames import to_frame

flights = cache(data.flights)
weather = cache(data.weather)


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


@cache
def events_from(first: date, count: int) -> tuple[Event, ...]:
    """Return the events of ``count`` days in the order in which they are sent."""
    by_day = events_of_days(flights(), days_from(first, count))
    return tuple(event for day in days_from(first, count) for event in by_day[day])


@cache
def enriched_from(first: date, count: int) -> Mapping[date, pd.DataFrame]:
    return enriched(events_from(first, count))


def conformed(sent: Iterable[Event]) -> pd.DataFrame:
    """Return the rows of ``conform`` for events that were sent in this order; none may be rejected."""
    source = PIPELINE.source("events")
    assert isinstance(source, FifoQueue)
    records = [record_from_sqs(raw_message(event, place), source) for place, event in enumerate(sent, start=1)]
    columns = {name: [getattr(record, name) for record in records] for name in SCHEMA.names}
    result = conform(pa.table(columns, schema=SCHEMA), Contract(FlightEvent))
    assert result.rejected == {}
    return to_frame([result.rows])


def enriched(sent: Sequence[Event]) -> Mapping[date, pd.DataFrame]:
    """Return the rows of ``enrich``, by the day of the event, for events that were sent in this order."""
    rows = conformed(sent)
    return {
        day: steps.enrich(part, weather_of_day(weather(), day), weather_of_day(weather(), day - timedelta(days=1)))
        for day, part in rows.groupby(rows["event_time"].dt.date)
    }


def features(by_day: Mapping[date, pd.DataFrame], day: date, look_back: int = 3) -> pd.DataFrame:
    """Return the rows of ``features`` of one day, with its look-back."""
    before = [by_day[each] for each in days_from(day - timedelta(days=look_back), look_back) if each in by_day]
    return steps.features(by_day[day], pd.concat(before) if before else by_day[day].iloc[:0])


@cache
def features_of_year() -> pd.DataFrame:
    """Return the rows of ``features`` of all days of 2013, by the time of arrival."""
    with ProcessPoolExecutor(2) as pool:
        rows = pd.concat(pool.map(_features_of_month, range(1, 13)), ignore_index=True)
    return rows.sort_values("event_time", kind="stable", ignore_index=True)


def _features_of_month(month: int) -> pd.DataFrame:
    """The first days of a month look back on earlier ones."""
    first, end = date(2013, month, 1), date(2013 + month // 12, month % 12 + 1, 1)
    look_back = 4 if month > 1 else 0
    start = first - timedelta(days=look_back)
    by_day = enriched(events_from(start, (end - start).days))
    return pd.concat([features(by_day, day) for day in days_from(first, (end - first).days)])


def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sample(frac=1, random_state=7)


def late_messages(sent: Sequence[Event], every: int) -> list[Event]:
    """Return the same events, with one in ``every`` of them sent one to three places of its group too late."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in sent:
        groups[event.group].append(event)
    for number, event in enumerate(sent[::every]):
        group = groups[event.group]
        place = group.index(event)
        group.insert(place + 1 + number % 3, group.pop(place))
    queues = {name: iter(group) for name, group in groups.items()}
    return [next(queues[event.group]) for event in sent]


def raw_message(event: Event, sequence_number: int) -> dict[str, Any]:
    return {
        "MessageId": str(sequence_number),
        "Body": event.body,
        "Attributes": {
            "SentTimestamp": "1388534400000",
            "SequenceNumber": str(sequence_number),
            "MessageGroupId": encoded(event.group),
            "MessageDeduplicationId": encoded(event.id),
            "ApproximateReceiveCount": "1",
        },
    }
