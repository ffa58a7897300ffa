"""Reads the records of raw partitions: the parts that a manifest names, and the records that it holds itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from sluice.errors import MissingResource
from sluice.lake.manifests import File, Manifest
from sluice.lake.store import Lake
from sluice.landing.parts import inline_records
from sluice.records.record import SCHEMA, read_part, table_of


def recorded(lake: Lake, manifest: Manifest, columns: Sequence[str] = SCHEMA.names) -> Iterator[pa.Table]:
    """Yield the records of each raw part that a manifest names, then those that it holds itself.

    Args:
        lake: The lake to read from.
        manifest: The manifest of a raw partition.
        columns: The members to read of the records of the parts.

    Raises:
        MissingResource: a part is gone.
        UnreadableObject: a part is damaged, or something else wrote it.
    """
    for file in manifest.files:
        yield _part(lake, manifest, file, columns)
    if manifest.inline:
        yield table_of(inline_records(manifest))


def recorded_of(lake: Lake, partitions: Sequence[Sequence[Manifest]]) -> list[pa.Table]:
    """Return all records of raw partitions. The parts of all of them are read eight at a time.

    Args:
        lake: The lake to read from.
        partitions: The manifests of each partition: none, or one for each of its sources.

    Raises:
        MissingResource: a part is gone.
        UnreadableObject: a part is damaged, or something else wrote it.
    """
    with ThreadPoolExecutor(8) as pool:
        reading = [
            [
                pool.submit(_part, lake, manifest, file, SCHEMA.names)
                for manifest in manifests
                for file in manifest.files
            ]
            for manifests in partitions
        ]
    found = []
    for parts, manifests in zip(reading, partitions, strict=True):
        inline = [table_of(inline_records(manifest)) for manifest in manifests if manifest.inline]
        found.append(pa.concat_tables([SCHEMA.empty_table(), *(part.result() for part in parts), *inline]))
    return found


def _part(lake: Lake, manifest: Manifest, file: File, columns: Sequence[str]) -> pa.Table:
    of_partition = lake.uri(lake.layout.manifest(manifest.dataset, manifest.time_partition(lake.calendar)))
    remedy = f"remove {of_partition} as well and replay from the stream"
    body = lake.read(file.key)
    if body is None:
        raise MissingResource(f"{lake.uri(file.key)} is gone, but its manifest names it; restore it, or {remedy}")
    return read_part(lake.uri(file.key), body, remedy, file.rows, columns)
