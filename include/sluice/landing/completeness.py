"""Which partitions of a pipeline's sources are not complete yet: what a transform waits for."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from sluice.lake import Lake, raw_dataset
from sluice.landing.drops import is_complete
from sluice.partitions import Partition
from sluice.pipeline import Pipeline
from sluice.sources import Drops, Source


def incomplete(lake: Lake, pipeline: Pipeline, partitions: Iterable[Partition]) -> list[str]:
    """``source/partition key`` of everything that is still open: a queue's partition without a closed manifest, a
    drop that has no marker and was never landed."""

    def is_open(pair: tuple[Source, Partition]) -> bool:
        source, partition = pair
        if isinstance(source, Drops):
            return not is_complete(lake, source, partition)
        manifest = lake.manifest(raw_dataset(source.name), partition)
        return manifest is None or manifest.state != "closed"

    pairs = list(product(pipeline.sources, partitions))
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(is_open, pairs)
        return [
            f"{source.name}/{partition.key}" for (source, partition), open_ in zip(pairs, found, strict=True) if open_
        ]
