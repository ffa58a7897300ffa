"""The operator that announces what a transform run has made."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from airflow.sdk import Context
from typing_extensions import override

from sluice_airflow.errors import one_line_errors
from sluice_airflow.runs import end_transform
from sluice_airflow.sensors import ProbeSensor
from sluice_airflow.shared import WORKSPACES


class AnnounceTransformedOperator(ProbeSensor):
    """Publishes one completion event for each partition of the last step whose content is not announced yet.

    Where a step looks back, the run of an earlier partition may be about to write these again. So it first waits,
    without a worker slot, until no such run is at work, and then announces what the lake has. A run that is queued, has
    failed, or has only to announce is not waited for. After ``max_wait_seconds`` it announces all the same, so that no
    event is lost; content that replaces what was announced is announced as well.

    It fails if the run has not transformed all of its partitions.

    Args:
        pipeline: The name of the pipeline.
        runs: The summaries of the last step, one for each of its mapped tasks; a template.
        kwargs: Those of ProbeSensor.

    Returns:
        The number of events that it published.
    """

    probe = "lasting_partitions"
    template_fields: Sequence[str] = (*ProbeSensor.template_fields, "runs")

    def __init__(self, *, pipeline: str, runs: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.runs = runs

    @cached_property
    def transformed(self) -> str:
        """The partitions that the last step has transformed, as ranges."""
        from sluice.lake.partitions import format_ranges, parse_ranges

        return format_ranges(each for run in self.runs or () for each in parse_ranges(run["partitions"]))

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "partitions": self.transformed}

    @override
    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> int:
        if "found" not in event:
            reason = event.get("error") or f"after {self.max_wait_seconds} s it still waits for {event['waiting_for']}"
            self.log.warning("%s; announcing all the same", reason)
        return self.found(True, context)

    @override
    def found(self, found: Any, context: Context) -> int:
        from sluice.completions import announce_partitions

        workspace, transformed = WORKSPACES.get(self.pipeline), self.transformed
        announced = announce_partitions(workspace, workspace.pipeline.steps[-1].name, transformed, context["run_id"])
        end_transform(workspace.pipeline, context, transformed)
        return announced
