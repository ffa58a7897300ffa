"""Finds what the ``conform`` steps of a source have quarantined, and reads the records as they were received.

Events that landed outside the pipeline's start and end, where no step reads them, count as held back, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import pyarrow as pa

from sluice.declaration.sources import EventSource
from sluice.lake.look import Look
from sluice.lake.parquet import read_parquet
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.landing.parts import inline_records
from sluice.records.record import Record, first_of
from sluice.sources.coverage import conform_steps, outside_and_not_conformed
from sluice.steps.conform import QUARANTINE_SCHEMA
from sluice.workspace import Workspace

OUTSIDE = "outside start and end"
_ENVELOPE = ("event_id", "group", "sequence_number", "sent_at", "message_id", "attributes")
_COLUMNS = (*_ENVELOPE, "reason")
_FILES_AT_ONCE = 8


@dataclass(frozen=True)
class Quarantined:
    """A quarantined record without its body.

    Attributes:
        event_id: The event's id.
        group: The group of the event.
        sequence_number: The place in the group.
        sent_at: When the message was sent (UTC).
        message_id: The message's id when it was received, with the number of the event in it.
        of_message: The message's id alone.
        reason: Why the record is held back.
        key: The Parquet object that holds the body; empty if ``record`` is set.
        row: The row of the record in that object, from 0.
        record: The whole record, if it is still stored in its partition's manifest.
    """

    event_id: str
    group: str
    sequence_number: str
    sent_at: datetime
    message_id: str
    of_message: str
    reason: str
    key: str = ""
    row: int = 0
    record: Record | None = None


def quarantined(
    workspace: Workspace, source: EventSource, wanted: Callable[[Partition], bool]
) -> Iterator[Quarantined]:
    """Yield what is held back in some partitions, each message once.

    Args:
        workspace: The pipeline.
        source: The source of the events.
        wanted: Whether a partition is searched.
    """
    seen = set[str]()
    for each in chain(_by_steps(workspace, source, wanted), _outside(workspace, source, wanted)):
        if each.message_id not in seen:
            seen.add(each.message_id)
            yield each


def _by_steps(workspace: Workspace, source: EventSource, wanted: Callable[[Partition], bool]) -> Iterator[Quarantined]:
    """Yield what the ``conform`` steps have quarantined, with the reasons."""
    lake = workspace.lake
    for step in conform_steps(workspace.pipeline, source.name):
        for manifest in Look(lake).manifests(step.name, filter(wanted, lake.partitions(step.name))):
            for file in manifest.quarantined:
                for row, values in enumerate(_rows(lake, file.key, _COLUMNS)):
                    yield _quarantined(values, key=file.key, row=row)


def _outside(workspace: Workspace, source: EventSource, wanted: Callable[[Partition], bool]) -> Iterator[Quarantined]:
    """Yield what has landed in partitions that no step reads."""
    lake = workspace.lake
    for manifest in outside_and_not_conformed(workspace, source):
        if wanted(manifest.time_partition(lake.calendar)):
            for file in manifest.files:
                for row, values in enumerate(_rows(lake, file.key, _ENVELOPE)):
                    yield _quarantined(values, reason=OUTSIDE, key=file.key, row=row)
            for record in inline_records(manifest):
                envelope = {name: getattr(record, name) for name in _ENVELOPE}
                yield _quarantined(envelope, reason=OUTSIDE, record=record)


def _quarantined(values: Mapping[str, Any], **more: Any) -> Quarantined:
    named = {name: value for name, value in values.items() if name != "attributes"}
    first = first_of(values["attributes"])
    return Quarantined(**named, **more, of_message=values["message_id"] if first is None else first.message_id)


def _rows(lake: Lake, key: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    return _table(lake, key, columns).to_pylist()


def _table(lake: Lake, key: str, columns: Sequence[str]) -> pa.Table:
    schema = pa.schema([QUARANTINE_SCHEMA.field(name) for name in columns])
    return read_parquet(lake.uri(key), lake.get(key), "leave its partition out", schema=schema)


def records_of(lake: Lake, chosen: Sequence[Quarantined]) -> list[Record]:
    """Read whole records, in the given order.

    Args:
        lake: The lake to read from.
        chosen: The records to read.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for each in chosen:
        if each.record is None:
            rows[each.key].append(each.row)

    def read(key: str) -> dict[tuple[str, int], Record]:
        table = _table(lake, key, Record._fields).take(rows[key])
        return {(key, row): Record(**values) for row, values in zip(rows[key], table.to_pylist(), strict=True)}

    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        found = {place: record for records in pool.map(read, rows) for place, record in records.items()}
    return [each.record or found[each.key, each.row] for each in chosen]
