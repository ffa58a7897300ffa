"""The progress of the demo's DAGs, read from the embedded cloud."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sluice.sources.connecting import connect_events
from sluice.training.jobs import list_jobs
from sluice.workspace import Workspace


class Progress:
    """Returns one line of progress for each DAG. Nothing is received or changed.

    Args:
        workspace: The workspace of the pipeline that runs.
        days: The days of the demo.
    """

    def __init__(self, workspace: Workspace, days: Sequence[date]) -> None:
        self.workspace, self.days = workspace, days
        self.sources = workspace.pipeline.event_sources

    def ingest(self) -> str:
        """Return how many messages are not landed yet, in words."""
        return f"({self.to_land():,} messages to go)"

    def to_land(self) -> int:
        """Return how many messages are not landed yet."""
        return sum(connect_events(self.workspace, source).backlog() for source in self.sources)

    def all_hidden(self) -> bool:
        """Return whether no message that is left can be received, because a reader that was killed holds all."""
        figures = [connect_events(self.workspace, source).figures() for source in self.sources]
        return self.to_land() > 0 and not any(each["waiting"] for each in figures)

    def transform(self) -> str:
        """Return how many days each step has written."""
        done = {step.name: len(self.workspace.lake.partitions(step.name)) for step in self.workspace.pipeline.steps}
        return "(days: " + ", ".join(f"{name} {count}" for name, count in done.items()) + f" of {len(self.days)})"

    def train(self) -> str:
        """Return the status of the newest training job; empty without one."""
        jobs = list_jobs(self.workspace, most=1)
        return f"({jobs[0].secondary_status})" if jobs else ""
