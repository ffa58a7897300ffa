"""Reads the manifests of a dataset, though one of them can't be read: it stops its own partition only (P17)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from sluice.errors import UnreadableObject
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake

_LOG = logging.getLogger(__name__)


def readable_manifests(
    lake: Lake, dataset: str, partitions: Iterable[Partition] | None = None
) -> tuple[list[Manifest], set[Partition]]:
    """Read manifests of a dataset, sixteen at a time. One that can't be read is an error in the log.

    Args:
        lake: The lake.
        dataset: The dataset, such as ``raw/events``.
        partitions: The partitions; those without a manifest are left out. None: all of the dataset.

    Returns:
        The manifests that can be read, in the order of the partitions, and the partitions of the others.
    """
    unreadable: set[Partition] = set()

    def read(partition: Partition) -> Manifest | None:
        try:
            return lake.manifest(dataset, partition)
        except UnreadableObject as error:
            _LOG.error("%s. Until then its partition is left out", error)
            unreadable.add(partition)
            return None

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(read, lake.partitions(dataset) if partitions is None else partitions))
    return [manifest for manifest in found if manifest is not None], unreadable
