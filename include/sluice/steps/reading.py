"""Reads the objects of a step's inputs: the source says how its own are read, all others are Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.references import imported
from sluice.lake.manifests import File
from sluice.lake.store import Lake
from sluice.steps.frames import read_object

Read = Callable[[File, bytes], pa.Table]


def objects(lake: Lake, keys: Sequence[str]) -> list[bytes]:
    """Return the content of objects, which are read eight at a time.

    Args:
        lake: The lake.
        keys: The keys of the objects.

    Raises:
        MissingResource: one of them is gone.
    """
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lake.get, keys))


def reader_of(pipeline: Pipeline, dataset: str) -> Read:
    """Return the function that reads an object of an input.

    Args:
        pipeline: The pipeline.
        dataset: The input: a source or a step.

    Raises:
        DeclarationError: the function that the source names can't be imported.
    """
    for source in pipeline.sources:
        if source.name == dataset and source.reader is not None:
            read: Callable[[Any, File, bytes], pa.Table] = imported(source.reader, f"source {source.name}")
            return lambda file, body, source=source: read(source, file, body)  # type: ignore[misc]
    return lambda file, body: read_object(file.key, body)
