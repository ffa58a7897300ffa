"""
### A live model against what happens

Asks the endpoint about the newest rows and compares its answers with the outcomes, and the features with those that
the model was trained on. Looks at the endpoint, and at how long events wait. What exceeds a bound is announced, and
starts a training if the pipeline declares so.

| | |
|---|---|
| **in** | closed partitions after the model's training data; the endpoint; metrics of SageMaker and SQS |
| **out** | `PIPELINE/monitoring/<n>.json`; one SNS event if bounds are exceeded; a run of the training DAG |
| **order** | one look after another |
| **re-run** | safe: the same findings are announced once, and start one training |

Only rows with an outcome are judged. An outcome that arrives late changes its partition, and the next look sees it. The
training judges its models beside the live one, so a model that is worse never goes live.

**Params.** None: the declaration has the window and the bounds.

**If it fails.** `watch`: the rows lack a column that the model takes, or the snapshot of the model is gone; the
message says which. `retrain`: the training DAG can't be triggered, for instance because its file can't be parsed. A
training DAG that is paused keeps the run queued until it is unpaused.
"""

from __future__ import annotations

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import DEFAULT_ARGS, START, documentation, tags


def monitor(pipeline: Pipeline) -> None:
    """Make the monitoring DAG of a pipeline, if it declares a monitoring."""
    monitoring = pipeline.deployment.monitoring if pipeline.deployment else None
    if pipeline.deployment is None or monitoring is None:
        return
    with DAG(
        dag_id=f"{pipeline.name}_monitor",
        description=f"Endpoint {pipeline.deployment.endpoint} against the newest rows, and its health",
        schedule=monitoring.schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=tags(pipeline, "monitor"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def watch() -> int:
            """Measure, compare with the bounds, and record; return the number of the report."""
            from sluice.monitoring.watch import watch

            return watch(open_workspace(pipeline.name))

        @task
        @one_line_errors
        def announce(number: int) -> bool:
            """Publish what was found, with the next action."""
            from sluice.monitoring.watch import announce_findings

            return announce_findings(open_workspace(pipeline.name), number, get_current_context()["run_id"])

        @task.short_circuit
        @one_line_errors
        def is_outdated(number: int) -> str | None:
            """Return the name of the training run to start. If none may help, the run ends here, as a success."""
            from sluice.monitoring.watch import training_run

            return training_run(open_workspace(pipeline.name), number)

        number = watch()
        announced = announce(number)
        if monitoring.retrain:
            retrain = TriggerDagRunOperator(
                task_id="retrain",
                trigger_dag_id=f"{pipeline.name}_train",
                trigger_run_id="{{ ti.xcom_pull(task_ids='is_outdated') }}",
                logical_date=None,
                skip_when_already_exists=True,  # the same findings start one training
            )
            announced >> is_outdated(number) >> retrain


build_dags(monitor)
