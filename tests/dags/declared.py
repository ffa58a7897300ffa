"""Which DAGs a declaration must give."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.declaration.pipeline import Pipeline


def dag_ids(pipeline: Pipeline) -> Sequence[str]:
    """Return the DAGs of a pipeline, sorted: an ingest for each source of events, and what its model needs."""
    kinds = ["dispatch", "transform"]
    ingested: set[str] = set()
    for source in pipeline.event_sources:
        kinds.append(f"ingest_{source.kind}" + (f"_{source.name}" if source.kind in ingested else ""))
        ingested.add(source.kind)
    if ingested:
        kinds += ["redrive", "replay"]
    if pipeline.training is not None:
        kinds += ["housekeeping", "train"]
    if pipeline.deployment is not None:
        kinds.append("rollback")
    if pipeline.deployment is not None and pipeline.deployment.monitoring is not None:
        kinds.append("monitor")
    return sorted(f"{pipeline.name}_{kind}" for kind in kinds)
