"""Finds what the ``conform`` steps of a source have quarantined, and reads it back as it was received."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pyarrow.parquet as pq

from sluice.lake import Lake
from sluice.landing.records import Record
from sluice.partitions import Partition
from sluice.pipeline import Conform, Pipeline

_COLUMNS = ("event_id", "group", "sequence_number", "sent_at", "message_id", "reason")
_FILES_AT_ONCE = 8


@dataclass(frozen=True)
class Quarantined:
    """One quarantined record without its body, which is row ``row`` of the object ``key``."""

    event_id: str
    group: str
    sequence_number: str
    sent_at: datetime
    message_id: str
    reason: str
    key: str
    row: int


def quarantined(
    lake: Lake, pipeline: Pipeline, source: str, wanted: Callable[[Partition], bool]
) -> Iterator[Quarantined]:
    """What stands quarantined in the wanted partitions, object after object; no message twice."""
    seen = set[str]()
    steps = [step for step in pipeline.steps if isinstance(step, Conform) and step.source == source]
    for step in steps:
        for manifest in lake.manifests(step.name):
            for file in manifest.quarantined if wanted(manifest.time_partition) else ():
                table = pq.read_table(io.BytesIO(lake.get(file.key)), columns=list(_COLUMNS))
                for row, values in enumerate(table.to_pylist()):
                    if values["message_id"] not in seen:
                        seen.add(values["message_id"])
                        yield Quarantined(**values, key=file.key, row=row)


def records_of(lake: Lake, chosen: Sequence[Quarantined]) -> list[Record]:
    """The records with their bodies, in the order given."""
    rows: dict[str, list[int]] = defaultdict(list)
    for each in chosen:
        rows[each.key].append(each.row)

    def read(key: str) -> dict[tuple[str, int], Record]:
        table = pq.read_table(io.BytesIO(lake.get(key)), columns=list(Record._fields)).take(rows[key])
        return {(key, row): Record(**values) for row, values in zip(rows[key], table.to_pylist(), strict=True)}

    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        found = {place: record for records in pool.map(read, rows) for place, record in records.items()}
    return [found[each.key, each.row] for each in chosen]
