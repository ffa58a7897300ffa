"""The names of a training's machine, and of its function. They follow from the declaration."""

from __future__ import annotations

from sluice.declaration.pipeline import Pipeline

HANDLER = "sluice.orchestration.handler.handle"


def machine_name(pipeline: Pipeline) -> str:
    """Return the name of the machine, of its function, and of the schedule that starts it."""
    return f"{pipeline.name}-train"
