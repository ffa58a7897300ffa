"""A runtime returns what the runner returns, and the same bytes (P16)."""

from __future__ import annotations

from tests.draining import workspace_of
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, message, reading

from sluice.compute.contract import runtime_of
from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake
from sluice.steps.runner import run_step

DAY = "2013-01-01"


def test_worker_returns_what_the_runner_returns(lake: Lake, toy_pipeline: Pipeline) -> None:
    put_raw(lake, EVENTS, DAY, [message(reading("a", f"{DAY}T07:00:00+00:00"))])
    workspace = workspace_of(lake, toy_pipeline)
    runtime = runtime_of(workspace, toy_pipeline.step("conform"))

    started = runtime.start(f"dt={DAY}")
    result = started.result

    assert result is not None
    assert runtime.look(started.reference) == result
    counts = {"held_back": 0, "changed": 1, "rows_in": 1, "rows_out": 1, "rejected": 0}
    assert dict(result) == {"partitions": f"dt={DAY}", **counts}
    assert dict(result) == {**run_step(workspace, "conform", f"dt={DAY}"), "changed": 1}
