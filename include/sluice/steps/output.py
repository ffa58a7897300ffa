"""The output of a step for one partition, and its commit: an object that its digest names, and the manifest last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sluice.lake.layout import quarantine_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import File, Manifest, Run
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.steps.content import content_digest
from sluice.steps.frames import parquet_bytes

_EVENT_TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Output:
    """The output of a step for one partition, before it is written.

    ``duplicates`` and ``control`` are those of a ``Conform`` step; ``rejected`` counts ``quarantined`` by reason.
    ``state`` is that of a step with a state, after the partition.
    """

    rows: pa.Table
    quarantined: pa.Table | None = None
    duplicates: int = 0
    rejected: Mapping[str, int] | None = None
    control: int = 0
    state: pa.Table | None = None


def commit(
    look: Look,
    dataset: str,
    partition: Partition,
    output: Output,
    *,
    inputs: Mapping[str, str],
    code: str,
    rows_in: int,
    run: Run | None = None,
) -> Manifest:
    """Write an output with its state, then the manifest.

    The same rows are under the same key, whichever library has written them.

    Args:
        look: A look at the lake to write.
        dataset: The name of the step, which is that of its dataset.
        partition: The partition.
        output: Its rows, and the state after them.
        inputs: The digest of each input, by ``dataset/partition key``.
        code: The fingerprint of what has made the rows.
        rows_in: How many rows were read.
        run: What was measured while the rows were made; None if nothing was.

    Raises:
        ConflictingWrite: other writers were faster twenty times in a row.
    """
    lake = look.lake
    files = (_put(lake, dataset, partition, output.rows),)
    quarantined: tuple[File, ...] = ()
    if output.quarantined is not None and output.quarantined.num_rows:
        quarantined = (_put(lake, quarantine_dataset(dataset), partition, output.quarantined),)
    carried = None if output.state is None else _put_state(lake, dataset, partition, output.state)
    first, last = _event_times(output.rows)

    def replace(before: Manifest | None) -> Manifest:
        same = before is not None and [file.key for file in before.files] == [file.key for file in files]
        return Manifest(
            dataset=dataset,
            partition=partition.key,
            state="closed",
            revision=(before.revision if before else 0) + (not same),
            files=files,
            quarantined=quarantined,
            carried=carried,
            inputs=inputs,
            code=code,
            rows_in=rows_in,
            rows_out=output.rows.num_rows,
            duplicates=output.duplicates,
            rejected=output.rejected or {},
            control=output.control,
            run=run,
            first_event_time=first,
            last_event_time=last,
            written_at=lake.now(),
        )

    return look.update_manifest(dataset, partition, replace)


def _put_state(lake: Lake, step: str, partition: Partition, table: pa.Table) -> File:
    key = lake.layout.state(step, partition, content_digest(table))
    return lake.put(key, parquet_bytes(table), rows=table.num_rows)


def _put(lake: Lake, dataset: str, partition: Partition, table: pa.Table) -> File:
    key = lake.layout.output(dataset, partition, content_digest(table))
    return lake.put(key, parquet_bytes(table), rows=table.num_rows)


def _event_times(rows: pa.Table) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last event time; None if the rows have no such column."""
    if "event_time" not in rows.column_names or not pa.types.is_timestamp(rows.column("event_time").type):
        return None, None
    ends: Any = pc.min_max(rows.column("event_time").cast(_EVENT_TIME, safe=False))
    return ends["min"].as_py(), ends["max"].as_py()
