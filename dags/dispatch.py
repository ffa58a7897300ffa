"""
### Partitions to transform runs

Starts one transform run for each partition for which a step can run, unless a run has started on its present content.
Runs all the time, one run after another, due half a minute apart at least. Waiting holds no worker.

| | |
|---|---|
| **in** | manifests of raw partitions, markers of drops, `PIPELINE/started/…` |
| **out** | runs of the transform DAG, named for their partitions; late data clears the run of its partition |
| **order** | by time, a few at once; partitions that lack a drop start once no others are due |
| **re-run** | safe: the lake determines what is due, and a run that has nothing to do changes nothing |

The log of `wait` lists what is not complete in partitions that are due or can't start, with the reason, whenever that
changes. The dispatch does
not wait for partitions before the first event of a source or outside the pipeline's start and end.

**Params.** `wait_seconds`: how long one run waits before the next one takes over.

**If it fails.** What can pass by itself is tried again for a quarter of an hour. After three failed runs in a row
Airflow pauses this DAG: repair the cause, then unpause it. `wait`: the lake can't be read. `start`: the transform DAG
can't be triggered, for instance because its file can't be parsed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.declared import build_dags
from sluice_airflow.policy import CONTINUOUS, documentation, tags
from sluice_airflow.runs import runs_to_start
from sluice_airflow.sensors import DuePartitionsSensor


def dispatch(pipeline: Pipeline) -> None:
    """Make the dispatch DAG of a pipeline."""
    transform = f"{pipeline.name}_transform"
    with DAG(
        dag_id=f"{pipeline.name}_dispatch",
        description=f"Partitions whose steps can run → runs of {transform}",
        schedule=timedelta(seconds=30),
        **CONTINUOUS,
        params={"wait_seconds": Param(600, type="integer", minimum=0, description="Seconds that one run waits")},
        tags=tags(pipeline, "dispatch"),
        doc_md=documentation(__doc__, pipeline),
    ):
        wait = DuePartitionsSensor(
            task_id="wait",
            pipeline=pipeline.name,
            poll_seconds=15,
            max_wait_seconds="{{ params.wait_seconds }}",
        )

        @task
        def choose(due: list[str]) -> list[dict[str, Any]]:
            """Return the runs to start or to clear: few at a time, and none that is queued or running."""
            return runs_to_start(pipeline, due, get_current_context()["ti"])

        start: Any = TriggerDagRunOperator.partial(
            task_id="start",
            trigger_dag_id=transform,
            reset_dag_run=True,
            map_index_template="{{ task.trigger_run_id }}",
        )
        start.expand_kwargs(choose(wait.output))


build_dags(dispatch)
