"""
### Raw partitions to features

One run is one time partition, the run's data interval: waits until every source is complete for it, runs the pipeline's
steps in their order, each of which persists its output, and announces the last one on the completion topic.

| | |
|---|---|
| **in** | closed raw partitions of the queues, complete drops; earlier partitions where a step looks back |
| **out** | `PIPELINE/STEP/dt=…/` for each step, `PIPELINE/quarantine/conform/dt=…/`; one SNS event per partition |
| **order** | steps one after another, partitions side by side |
| **re-run** | safe: a step whose inputs and code did not change does nothing; later partitions that look back follow |

**Params.** `from`, `to`: a range of partitions, both included, done in one run. Without them the run is about the
partition that holds its logical date: `airflow dags test flights_transform 2013-01-15`, `airflow backfill create` and
clearing a run all mean the partition. `wait_seconds`: how long to wait for the sources.

**If it fails.** `wait` timed out: a source is not complete; see the ingest DAG, or the drop's marker. A step: its
function or the data is at fault; the message names the partition. Bad events never fail a step: they are quarantined
and counted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from sluice.pipeline import Pipeline, load_pipelines
from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import clear_errors
from sluice_airflow.metrics import report_conformed
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, tags
from sluice_airflow.sensors import S3PartitionSensor
from sluice_airflow.timetable import PartitionTimetable

CRON = {"day": "0 0 * * *", "hour": "0 * * * *"}
PARTITIONS_A_TASK = 31


def transform(pipeline: Pipeline) -> DAG:
    """The transform DAG of a pipeline."""
    with DAG(
        dag_id=f"{pipeline.name}_transform",
        description=f"Closed partitions → {' → '.join(step.name for step in pipeline.steps)} → completion events",
        schedule=PartitionTimetable(CRON[pipeline.every], timezone="UTC"),
        start_date=pipeline.start,
        end_date=pipeline.end,
        catchup=True,
        max_active_runs=4,
        default_args=DEFAULT_ARGS,
        params={
            **RANGE_PARAMS,
            "wait_seconds": Param(14 * 24 * 3600, type="integer", minimum=0, description="Seconds to wait for sources"),
        },
        tags=tags(pipeline, "transform"),
        doc_md=__doc__,
    ) as dag:

        @task
        @clear_errors
        def plan() -> list[str]:
            """The partitions that this run is about, in chunks."""
            from sluice.partitions import chunks, requested

            context = get_current_context()
            params = context["params"]
            start = context["data_interval_start"]
            asked = requested(pipeline.every, start, params["from"], params["to"])
            return chunks(asked, PARTITIONS_A_TASK)

        partitions = plan()
        wait = S3PartitionSensor(
            task_id="wait",
            pipeline=pipeline.name,
            partitions=partitions,
            poll_seconds=30,
            max_wait_seconds="{{ params.wait_seconds }}",
        )

        @task(map_index_template="{{ task.op_kwargs['partitions'] }}")
        @clear_errors
        def land_drops(partitions: str) -> int:
            """Copy what others dropped, as it is, into raw partitions."""
            from sluice.landing.drops import land_drops as land

            workspace = open_workspace(pipeline.name)
            return land(workspace.lake, pipeline, partitions)

        @task(map_index_template="{{ task.op_kwargs['partitions'] }}")
        @clear_errors
        def run_step(step: str, partitions: str) -> dict[str, Any]:
            """Run the step over the partitions and persist what it makes."""
            from sluice.steps.runner import run_step as run

            workspace = open_workspace(pipeline.name)
            ran = run(workspace.lake, pipeline, step, partitions)
            report_conformed(workspace, pipeline, step, ran["partitions"])
            return ran

        @task(execution_timeout=timedelta(minutes=15))
        @clear_errors
        def announce(runs: list[dict[str, Any]]) -> int:
            """One event for each partition of the last step in a content that was not announced yet."""
            from sluice.events import announce_partitions

            workspace, run_id = open_workspace(pipeline.name), get_current_context()["run_id"]
            done = ",".join(run["partitions"] for run in runs)
            return announce_partitions(workspace, pipeline.steps[-1].name, done, run_id)

        before: Any = land_drops.expand(partitions=partitions)
        wait >> before
        for step in pipeline.steps:
            ran = run_step.override(task_id=step.name).partial(step=step.name).expand(partitions=partitions)
            before >> ran
            before = ran
        announce(before)
    return dag


for declared in load_pipelines():
    transform(declared)
