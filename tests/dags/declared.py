"""Which DAGs a declaration must give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pipelines
from sluice.declaration.pipeline import Pipeline


@contextmanager
def extended_pipelines(folder: Path) -> Iterator[None]:
    """Find the pipelines of a folder beside the shipped ones."""
    before = list(pipelines.__path__)
    pipelines.__path__.append(str(folder))
    try:
        yield
    finally:
        pipelines.__path__[:] = before


def dag_ids(pipeline: Pipeline) -> Sequence[str]:
    """Return the DAGs of a pipeline, sorted: an ingest for each source of events, and what its model needs."""
    kinds = ["dispatch", "housekeeping", "transform"]
    ingested: set[str] = set()
    for source in pipeline.event_sources:
        kinds.append(f"ingest_{source.kind}" + (f"_{source.name}" if source.kind in ingested else ""))
        ingested.add(source.kind)
    if ingested:
        kinds += ["redrive", "replay"]
    if pipeline.training is not None:
        kinds.append("train")
    if pipeline.deployment is not None or pipeline.scoring is not None:
        kinds.append("rollback")
    if pipeline.scoring is not None:
        kinds.append("score")
    if pipeline.deployment is not None and pipeline.deployment.monitoring is not None:
        kinds.append("monitor")
    if pipeline.fresh_within:
        kinds.append("freshness")
    return sorted(f"{pipeline.name}_{kind}" for kind in kinds)
