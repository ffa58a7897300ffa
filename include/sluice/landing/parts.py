"""Makes records durable: one raw part per partition that they touch, each recorded in its manifest.

What a source may be told that it is done with is what :func:`land` has returned for (P1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import partial

from sluice.lake import Lake, raw_dataset
from sluice.landing.records import Record, part_bytes
from sluice.manifests import File, Manifest, earliest, latest
from sluice.partitions import Partition
from sluice.pipeline import Grain


def land(records: Iterable[Record], lake: Lake, source: str, every: Grain, pool: Executor) -> list[Partition]:
    """Write and record the parts of ``records``, partitions side by side in ``pool``; returns their partitions.

    Raises:
        ConflictingWrite: a manifest could not be written against other writers.
    """
    by_partition: dict[Partition, list[Record]] = defaultdict(list)
    for record in records:
        by_partition[Partition.containing(record.event_time, every)].append(record)
    list(pool.map(partial(_land, lake, raw_dataset(source)), by_partition, by_partition.values()))
    return list(by_partition)


def _land(lake: Lake, dataset: str, partition: Partition, records: Sequence[Record]) -> None:
    name, body = part_bytes(records)
    file = lake.put(lake.key(dataset, partition.key, name), body, rows=len(records))
    lake.update_manifest(dataset, partition, partial(_with_part, lake, dataset, partition, file, records))


def _with_part(
    lake: Lake,
    dataset: str,
    partition: Partition,
    file: File,
    records: Sequence[Record],
    before: Manifest | None,
) -> Manifest:
    """The manifest with one part more. In a closed partition that is late data: the revision goes up."""
    manifest = before or Manifest(dataset=dataset, partition=partition.key, state="open", written_at=lake.now())
    if file.key in {part.key for part in manifest.files}:
        return manifest  # the name holds the digest of the content
    # Only a time that the producer gave may move the watermark.
    times = [record.event_time for record in records if record.event_time_from == "body"]
    return manifest.model_copy(
        update={
            "files": tuple(sorted((*manifest.files, file), key=lambda part: part.key)),
            "revision": manifest.revision + (manifest.state == "closed"),
            "rows_in": manifest.rows_in + len(records),
            "rows_out": manifest.rows_out + len(records),
            "first_event_time": earliest([manifest.first_event_time, *times]),
            "last_event_time": latest([manifest.last_event_time, *times]),
            "written_at": lake.now(),
        }
    )
