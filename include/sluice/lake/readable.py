"""Reads the manifests of a dataset, though one of them can't be read: it stops its own partition only (P17)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sluice.errors import UnreadableObject
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition

_LOG = logging.getLogger(__name__)


def readable_manifests(
    look: Look, dataset: str, partitions: Iterable[Partition] | None = None
) -> tuple[list[Manifest], set[Partition]]:
    """Read manifests of a dataset. One that can't be read is an error in the log.

    Args:
        look: A look at the lake.
        dataset: The dataset, such as ``raw/events``.
        partitions: The partitions; those without a manifest are left out. None: all of the dataset.

    Returns:
        The manifests that can be read, in the order of the partitions, and the partitions of the others.
    """
    return read_each(partial(look.manifest, dataset), look.ready(dataset, partitions))


def read_each(
    read: Callable[[Partition], Manifest | None], partitions: Iterable[Partition]
) -> tuple[list[Manifest], set[Partition]]:
    """Read manifests as :func:`readable_manifests` does.

    Args:
        read: Returns the manifest of a partition; None if there is none.
        partitions: The partitions.
    """
    unreadable: set[Partition] = set()

    def each(partition: Partition) -> Manifest | None:
        try:
            return read(partition)
        except UnreadableObject as error:
            _LOG.error("%s. Until then its partition is left out", error)
            unreadable.add(partition)
            return None

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(each, partitions))
    return [manifest for manifest in found if manifest is not None], unreadable
