"""
### Partitions of the lake to scores

Scores partitions with the live model, in SageMaker's batch transform jobs, and writes the scores into the lake as a
dataset. Each transform run starts a run for its partitions, once a model is live; a run of a range is triggered.

| | |
|---|---|
| **in** | closed partitions of the step that the declaration scores; the model that is live |
| **out** | `PIPELINE/SCORES/dt=…/`; `PIPELINE/batches/…`; one SNS event per partition |
| **order** | `launch`, `wait` and `write` for each chunk of partitions, chunks side by side; one job scores a chunk |
| **re-run** | safe: only partitions whose rows or model have changed are scored; a running job is adopted |

The run scores with the model that was live when it began. A new model scores what comes after it, and what a run asks
for: to score the past again, trigger a run with `from` and `to`. `launch` is skipped where the model has answered all
rows before.

**Params.** `from`, `to`: a range of partitions, both included. Without them the run scores the partition that contains
its logical date. `poll_seconds`: between two polls of a job.

**If it fails.** `champion`: no model is live, or its artefact is gone; train first. `plan`: partitions are not
transformed; the message names them. `launch`: the rows lack a column, or hold a value that the model does not take.
`wait`: the message has SageMaker's reason; correct the cause and clear `launch`. `write`: the rows have changed since
they were scored; clear `launch`. `announce`: partitions have no scores, because a task was skipped or marked by hand.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, TriggerRule, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.job_sensors import ScoringSensor
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, START, documentation, poll_param, tags, transformed
from sluice_airflow.runs import live_job, partitions_to_score


def score(pipeline: Pipeline) -> None:
    """Make the scoring DAG of a pipeline, if it declares a scoring."""
    scoring = pipeline.scoring
    if scoring is None:
        return
    with DAG(
        dag_id=f"{pipeline.name}_score",
        description=f"{pipeline.rows_to_score} → the live model → {scoring.name} → completion events",
        schedule=[transformed(pipeline)],
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params={**RANGE_PARAMS, "poll_seconds": poll_param(60, "a job")},
        tags=tags(pipeline, "score"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def champion() -> str:
            """Return the training job of the model that is live."""
            return live_job(pipeline.name, get_current_context())

        @task
        @one_line_errors
        def plan(job: str) -> list[str]:
            """Return the partitions that have to be scored, in chunks."""
            from sluice.scoring.due import due_chunks

            return due_chunks(
                open_workspace(pipeline.name), job, partitions_to_score(pipeline.name, get_current_context())
            )

        @task(map_index_template="{{ task.op_kwargs['partitions'] }}")
        @one_line_errors
        def launch(job: str, partitions: str) -> str:
            """Start the job that scores a chunk, adopt it or reuse it; return its name."""
            from sluice.scoring.batches import launch_batch

            launched = launch_batch(open_workspace(pipeline.name), job, partitions)
            if launched is None:
                raise AirflowSkipException("the model has answered all rows before: there is nothing to launch")
            return launched

        @task(trigger_rule=TriggerRule.NONE_FAILED, map_index_template="{{ task.op_kwargs['partitions'] }}")
        @one_line_errors
        def write(job: str, partitions: str) -> dict[str, Any]:
            """Write the scores of a chunk into the lake; return the summary."""
            from sluice.scoring.writing import write_scores

            return write_scores(open_workspace(pipeline.name), job, partitions)

        @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
        @one_line_errors
        def announce(job: str) -> int:
            """Publish one event for each partition whose scores are not announced yet."""
            from sluice.scoring.writing import announce_scores

            context = get_current_context()
            asked = partitions_to_score(pipeline.name, context)
            return announce_scores(open_workspace(pipeline.name), job, asked, context["run_id"])

        @task_group
        def batch(job: str, partitions: str) -> None:
            """Score one chunk of partitions."""
            launched: Any = launch(job=job, partitions=partitions)
            waited = ScoringSensor(
                task_id="wait",
                pipeline=pipeline.name,
                job_name=launched,
                max_runtime=scoring.max_runtime,
                poll_seconds="{{ params.poll_seconds }}",
                map_index_template="{{ task.job_name }}",
            )
            waited >> write(job=job, partitions=partitions)

        job: Any = champion()
        planned = plan(job)
        batches = batch.partial(job=job).expand(partitions=planned)
        [planned, batches] >> announce(job)


build_dags(score)
