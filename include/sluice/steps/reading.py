"""Reads the objects of a step's inputs: the source says how its own are read, all others are Parquet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.references import imported
from sluice.errors import MissingResource
from sluice.lake.manifests import File
from sluice.lake.store import Lake
from sluice.steps.frames import read_object

Read = Callable[[File], pa.Table]

_AGAIN = "remove the _manifest.json of its partition and run its step again"


def reader_of(lake: Lake, pipeline: Pipeline, dataset: str) -> Read:
    """Return the function that reads an object of an input.

    Args:
        lake: The lake that has the object.
        pipeline: The pipeline.
        dataset: The input: a source or a step.

    Raises:
        DeclarationError: the function that the source names can't be imported.
    """
    for source in pipeline.sources:
        if source.name == dataset and source.reader is not None:
            read: Callable[[Any, File, bytes], pa.Table] = imported(source.reader, f"source {source.name}")
            return lambda file, source=source: read(source, file, lake.get(file.key))  # type: ignore[misc]
    return lambda file: read_output(lake, file)


def read_output(lake: Lake, file: File) -> pa.Table:
    """Return the table in an object of a step.

    Args:
        lake: The lake.
        file: The object.

    Raises:
        MissingResource: it is gone.
        UnreadableObject: it is damaged, or something else wrote it.
        SluiceError: two of its columns have one name.
    """
    uri, body = lake.uri(file.key), lake.read(file.key)
    if body is None:
        raise MissingResource(f"{uri} is gone, but its manifest names it; restore it, or {_AGAIN}")
    return read_object(uri, body, _AGAIN, file.rows)
