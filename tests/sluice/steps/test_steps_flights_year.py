"""A year of flights that comes shuffled, late, twice and overwritten has the digests of one that comes in order.

And each row of its features is that of a reader who goes through the events in order, in plain Python.
"""

from __future__ import annotations

import calendar
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from tests.benchmarks.transforming import run_range
from tests.conftest import Cloud
from tests.draining import record_from_sqs, workspace_of
from tests.pipelines.flights.flight_days import days_from, events_from, raw_message, weather
from tests.pipelines.flights.in_order import rows_in_order
from tests.sluice.lake_contents import body_of, put_parts

from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.vocabulary import FEATURES
from pipelines.flights.weather import drop_weather, weather_of_day
from sluice.declaration.sources import FifoQueue
from sluice.lake.look import Look
from sluice.lake.store import Lake
from sluice.landing.parts import Landing, Parts
from sluice.records.record import SCHEMA, Record, part_of
from sluice.sending.lanes import Event
from sluice.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MONTHS = range(1, 13)
FIRST, LAST = date(2013, 1, 1), date(2013, MONTHS[-1], calendar.monthrange(2013, MONTHS[-1])[1])
RANGE = f"dt={FIRST}..dt={LAST}"
IN_ORDER, SHUFFLED = "flights-year-in-order", "flights-year-shuffled"
# A flight takes at most 35 hours from its announcement, and what was known then reaches 36 hours back.
REACH = 4  # days
PARTS = 4
LATE_EVERY, OVERWRITTEN_EVERY = 11, 37  # days
SHARE = 20  # one event in so many is late, and one comes twice
_SOURCE = PIPELINE.source("events")
assert isinstance(_SOURCE, FifoQueue)
SOURCE = _SOURCE


@dataclass(frozen=True)
class Month:
    """What a reader makes of a month, and the records of the shuffled one that come late."""

    rows: pd.DataFrame
    late: pa.Table


def lake_of(cloud: Cloud, bucket: str) -> Lake:
    return Lake(cloud.client("s3"), bucket, "flights")


def records_of(sent: Sequence[Event], first_place: int) -> pa.Table:
    """Return events as the records that a queue gives, which the first of them has to be."""
    (first,) = {record_from_sqs(raw_message(sent[0], first_place), SOURCE)}
    columns = {name: [value] * len(sent) for name, value in first._asdict().items()} | {
        "event_id": [event.id for event in sent],
        "group": [event.group for event in sent],
        "sequence_number": [f"{first_place + n:039d}" for n in range(len(sent))],
        "event_time": [event.event_time for event in sent],
        "message_id": [str(first_place + n) for n in range(len(sent))],
        "body": [event.body for event in sent],
    }
    table = pa.table(columns, schema=SCHEMA)
    assert Record(**table.slice(0, 1).to_pylist()[0]) == first
    return table


def sent_again(records: pa.Table) -> pa.Table:
    """Return records as they are if a producer sends the events once more, a year later."""
    numbers = [f"1{number[1:]}" for number in records["sequence_number"].to_pylist()]
    names = [f"again-{name}" for name in records["message_id"].to_pylist()]
    return _with(records, sequence_number=pa.array(numbers), message_id=pa.array(names))


def _with(records: pa.Table, **columns: pa.Array) -> pa.Table:
    for name, column in columns.items():
        records = records.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
    return records


def delivered(cloud: Cloud, month: int) -> Month:
    """Put the raw partitions and the weather of a month into both lakes, but for what comes late to one of them."""
    first, count = date(2013, month, 1), calendar.monthrange(2013, month)[1]
    start = max(FIRST, first - timedelta(days=REACH))
    sent = events_from(start, (first - start).days + count)
    in_order, shuffled, late = lake_of(cloud, IN_ORDER), lake_of(cloud, SHUFFLED), [SCHEMA.empty_table()]
    records = records_of([event for event in sent if event.event_time.date() >= first], month * 10**7)
    for day in days_from(first, count):
        of_day = records.filter(pc.equal(pc.cast(records["event_time"], pa.date32()), pa.scalar(day)))
        put_parts(in_order, SOURCE, str(day), (part_of(of_day), len(of_day)))
        order = np.random.default_rng(day.toordinal()).permutation(len(of_day))
        few = len(order) // SHARE
        if day.toordinal() % LATE_EVERY == 0:
            late.append(of_day.take(order[:few]))
            order = order[few:]
        twice = of_day.take(order[:few])
        redelivered = _with(twice, receive_count=pa.array([2] * few, pa.int32()))
        parts = [*(of_day.take(places) for places in np.array_split(order, PARTS)), redelivered, sent_again(twice)]
        put_parts(shuffled, SOURCE, str(day), *((part_of(part), len(part)) for part in parts))
        observed = weather()
        drop_weather(in_order.s3, IN_ORDER, observed, [day])
        if is_overwritten(day):
            observed = observed.assign(temp=observed["temp"] + 1)
        drop_weather(shuffled.s3, SHUFFLED, observed, [day])
    rows = rows_in_order(sent, weather())
    return Month(rows[rows["event_time"].dt.date >= first], pa.concat_tables(late))


def is_overwritten(day: date) -> bool:
    return day.toordinal() % OVERWRITTEN_EVERY == 0


def bring_the_rest(lake: Lake, late: pa.Table) -> None:
    """Land what is late, and overwrite the drops of weather that were not final."""
    with ThreadPoolExecutor(8) as pool:
        Parts(Landing(lake, SOURCE.name), pool).land(Record(**row) for row in late.to_pylist())
    for day in filter(is_overwritten, days_from(FIRST, (LAST - FIRST).days + 1)):
        buffer = io.BytesIO()
        weather_of_day(weather(), day).to_parquet(buffer, index=False)
        lake.put(f"drops/weather/dt={day}/weather.parquet", buffer.getvalue())


def digests(workspace: Workspace) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the keys of the objects of each partition of each step. A key has the digest of the rows."""
    return {
        step.name: {
            each.partition: [file.key for file in (*each.files, *each.quarantined)]
            for each in Look(workspace.lake).manifests(step.name)
        }
        for step in PIPELINE.steps
    }


def rows_of(lake: Lake, keys: Sequence[str]) -> pd.DataFrame:
    with ThreadPoolExecutor(8) as pool:
        return pa.concat_tables(pool.map(lambda key: pq.read_table(io.BytesIO(body_of(lake, key))), keys)).to_pandas()


@pytest.fixture
def months(cloud: Cloud) -> Iterator[list[Month]]:
    for bucket in (IN_ORDER, SHUFFLED):
        cloud.client("s3").create_bucket(Bucket=bucket)
    with ProcessPoolExecutor(2) as pool:
        yield list(pool.map(partial(delivered, cloud), MONTHS))


def test_year_in_any_order_has_the_digests_of_a_year_in_order_and_the_rows_of_a_reader(
    cloud: Cloud, months: list[Month]
) -> None:
    in_order, shuffled = (workspace_of(lake_of(cloud, bucket), PIPELINE) for bucket in (IN_ORDER, SHUFFLED))
    run_range(cloud, in_order, RANGE)
    run_range(cloud, shuffled, RANGE)
    early = digests(shuffled)
    bring_the_rest(shuffled.lake, pa.concat_tables(month.late for month in months))
    run_range(cloud, shuffled, RANGE)

    found = digests(shuffled)

    assert found == digests(in_order)
    days = (LAST - FIRST).days + 1
    assert {step: len(of_days) for step, of_days in found.items()} == dict.fromkeys(found, days)
    # Had nothing been late or overwritten, the lines above would prove less.
    assert all(sum(early[step][day] != keys for day, keys in found[step].items()) > days // 12 for step in found)
    rows = rows_of(shuffled.lake, [key for keys in found["features"].values() for key in keys])
    expected = pd.concat([month.rows for month in months], ignore_index=True)
    types = {"event_time": "datetime64[us, UTC]", **dict.fromkeys(FEATURES, "float64")}
    assert_frame_equal(rows, expected[["event_id", "event_time", *FEATURES, "late"]].astype(types), check_exact=True)
