"""
### How old the partitions are

Compares how old the partitions are of each step that declares `fresh_within`, and announces those that are older: once
for each breach, and once more when they are fresh again. Late data that a step has not read counts as well.

| | |
|---|---|
| **in** | manifests, and what the sources have; no rows |
| **out** | `PIPELINE/freshness/STEP/<n>.json` and one SNS event for each change of what is not fresh |
| **order** | one look after another, every quarter of an hour |
| **re-run** | safe: what was announced is not announced again |

It depends neither on the dispatch nor on the transform, so it also finds that one of them is paused. `sluice late`
lists at any time what is late, and what it waits for.

**Params.** None: the declaration has the bounds.

**If it fails.** `watch`: the lake or a source can't be read; the message names it. The next look finds what this one
missed.
"""

from __future__ import annotations

from airflow.sdk import DAG, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import DEFAULT_ARGS, START, documentation, tags


def freshness(pipeline: Pipeline) -> None:
    """Make the freshness DAG of a pipeline, if a step declares how fresh it has to be."""
    if not pipeline.fresh_within:
        return
    with DAG(
        dag_id=f"{pipeline.name}_freshness",
        description=f"Partitions of {', '.join(pipeline.fresh_within)} that are too old → SNS",
        schedule="*/15 * * * *",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=tags(pipeline, "freshness"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def watch() -> int:
            """Announce what has become too old and what is fresh again; return the number of events."""
            from sluice.freshness import watch_freshness

            return watch_freshness(open_workspace(pipeline.name), get_current_context()["run_id"])

        watch()


build_dags(freshness)
