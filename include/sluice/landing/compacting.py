"""Merges the small parts of a raw partition when it closes: its readers then get few objects.

A busy source writes a part for each flush and lane. While a partition is open nobody reads it; once it is closed its
digest counts. So it is merged by the write that closes it. The records stay the same, and their order does not matter.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from sluice.errors import MissingResource, UnreadableObject
from sluice.lake.manifests import File, Manifest
from sluice.lake.store import Lake
from sluice.landing.recorded import recorded_of
from sluice.records.record import part_of

_SMALL = 512 * 1024  # bytes; of a larger part its bytes take more time than its request
_FEWEST = 16  # a step reads eight at a time
# What reads one part after another, such as a replay, should not need much more memory than for parts of large flushes.
_MERGED_BYTES = 4 * 1024 * 1024  # as stored; about ten times as many in memory
_MERGED_ROWS = 50_000

_log = logging.getLogger(__name__)


def compacted(lake: Lake, manifest: Manifest) -> Manifest:
    """Merge the small parts of a raw partition, if there are many.

    Args:
        lake: The lake, which gets the merged parts. The former ones stay until a housekeeping removes them.
        manifest: The manifest of the partition, which is not changed in the lake.

    Returns:
        The manifest to write. It is the same one if a part is gone or damaged: the step that reads it says so.
    """
    small = [file for file in manifest.files if file.size < _SMALL]
    if len(small) < _FEWEST:
        return manifest
    try:
        merged = [_merged(lake, manifest, group) for group in _groups(small)]
    except (MissingResource, UnreadableObject) as error:
        _log.warning("the parts of %s %s are not merged: %s", manifest.dataset, manifest.partition, error)
        return manifest
    others = [file for file in manifest.files if file.size >= _SMALL]
    return manifest.model_copy(update={"files": tuple(sorted((*others, *merged), key=lambda file: file.key))})


def _groups(files: Sequence[File]) -> Iterator[list[File]]:
    group: list[File] = []
    for file in files:
        group.append(file)
        if sum(each.size for each in group) >= _MERGED_BYTES or sum(each.rows for each in group) >= _MERGED_ROWS:
            yield group
            group = []
    if group:
        yield group


def _merged(lake: Lake, manifest: Manifest, files: Sequence[File]) -> File:
    (table,) = recorded_of(lake, [[manifest.model_copy(update={"files": tuple(files), "inline": ()})]])
    name, body = part_of(table)
    return lake.put(
        lake.layout.raw_part(manifest.dataset, manifest.time_partition(lake.calendar), name), body, table.num_rows
    )
