"""How fast ``conform`` makes typed rows of JSON bodies, beside DuckDB on the same bodies."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
from pydantic import BaseModel

from sluice.contracts.reading import Contract
from sluice.records.record import SCHEMA
from sluice.steps.conform import conform

_EVENTS = 1_000_000
_PARTS = 20
_GROUPS = 997
_ROUNDS = 3
_CORES = 2
_AT = datetime(2013, 1, 1, tzinfo=UTC)
_COLUMNS = """{id: 'VARCHAR', 'group': 'VARCHAR', type: 'VARCHAR', event_time: 'TIMESTAMPTZ', carrier: 'VARCHAR',
flight: 'BIGINT', distance: 'BIGINT', dep_delay: 'BIGINT'}"""


class Flight(BaseModel):
    """What the bodies look like."""

    id: str
    group: str
    type: Literal["departed", "arrived"]
    event_time: datetime
    carrier: str
    flight: int
    distance: int
    dep_delay: int | None = None


def figures() -> Iterator[tuple[str, float]]:
    """Yield the rows a second, and that against DuckDB, which drops repeats and orders as well, or only reads."""
    records = _records()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        bodies = Path(folder) / "bodies.ndjson"
        bodies.write_text("\n".join(records["body"].to_pylist()))
        source = f"read_json('{bodies}', format = 'newline_delimited', columns = {_COLUMNS})"
        first = "QUALIFY row_number() OVER (PARTITION BY id ORDER BY event_time) = 1"
        contract, database = Contract(Flight), duckdb.connect(config={"threads": _CORES})
        ours, same, read = _seconds(
            lambda: conform(records, contract),
            lambda: database.sql(f'SELECT * FROM {source} {first} ORDER BY "group", event_time, id').to_arrow_table(),
            lambda: database.sql(f"SELECT * FROM {source}").to_arrow_table(),
        )
    yield "conform_rows_per_s", _EVENTS / ours
    yield "conform_duckdb_ratio", same / ours
    yield "conform_duckdb_read_ratio", read / ours


def _seconds(*runs: Callable[[], Any]) -> list[float]:
    """Return the median seconds of each, in turns after a first one that is not counted."""
    taken = []
    for _ in range(_ROUNDS + 1):
        begun = [time.perf_counter()]
        for run in runs:
            run()
            begun.append(time.perf_counter())
        taken.append([after - before for before, after in pairwise(begun)])
    return [statistics.median(each) for each in zip(*taken[1:], strict=True)]


def _records() -> pa.Table:
    """Return the records of a partition as its parts hold them: each part is in group order."""
    return pa.concat_tables([_part(range(start, _EVENTS, _PARTS)) for start in range(_PARTS)])


def _part(numbers: range) -> pa.Table:
    ordered = sorted(numbers, key=lambda number: (number % _GROUPS, number))
    constant = {
        "sent_at": _AT,
        "event_time": _AT,
        "event_time_from": "body",
        "receive_count": 1,
        "attributes": "{}",
        "outer": None,
        "fault": None,
    }
    columns = {name: [value] * len(ordered) for name, value in constant.items()} | {
        "event_id": [f"flight-{number}" for number in ordered],
        "group": [f"N{number % _GROUPS:03d}UA" for number in ordered],
        "sequence_number": [f"{number:020d}" for number in ordered],
        "message_id": [f"message-{number}" for number in ordered],
        "body": [_body(number) for number in ordered],
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def _body(n: int) -> str:
    return (
        f'{{"id":"flight-{n}","group":"N{n % _GROUPS:03d}UA","type":"departed",'
        f'"event_time":"2013-01-{1 + n % 28:02d}T{n % 24:02d}:{n % 60:02d}:{n % 59:02d}Z","carrier":"UA",'
        f'"flight":{n % 9000 + 1},"distance":{n % 3000 + 50},"dep_delay":{n % 200 - 20}}}'
    )
