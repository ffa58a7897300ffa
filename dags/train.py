"""
### Features to a live model

Freezes the transformed partitions as a snapshot, trains on SageMaker, polls the job once a minute, and makes the model
live if it passes the gate. A pipeline without a deployment ends once the model has passed the gate.

| | |
|---|---|
| **in** | closed partitions of the step that the declaration trains on |
| **out** | `PIPELINE/snapshots/…`, `PIPELINE/models/…`, the endpoint, `PIPELINE/deployments/<n>.json`; one SNS event |
| **order** | one after another; `deploy` is the final task, where there is an endpoint |
| **re-run** | safe: a job's name is the digest of its request; a running job is adopted, a completed one reused |

**Params.** `from`, `to`: train on these partitions only, both included. `poll_seconds`: between two polls of the job.

**If it fails.** `snapshot`: too few partitions are transformed (a scheduled run is skipped then). `wait_for_training`,
`gate`: the message has SageMaker's reason, or the metric. Correct the cause and clear `launch` for a new attempt.
`deploy`: the endpoint did not serve the requested model, and was rolled back to what served before. A transient
failure, such as throttling, is retried. The gate judges the artefact, which is what is served: early stopping saves the
best round, not the last one that the job prints. Clearing or marking `wait_for_training` while it waits stops the job.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.operators import DeployEndpointOperator
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, START, tags
from sluice_airflow.sensors import TrainingJobSensor


def train(pipeline: Pipeline) -> None:
    """Make the training DAG of a pipeline, if it declares a training."""
    training, deployment = pipeline.training, pipeline.deployment
    if training is None:
        return
    with DAG(
        dag_id=f"{pipeline.name}_train",
        description=f"Snapshot of {training.rows} → SageMaker"
        + (f" → endpoint {deployment.endpoint}" if deployment else ""),
        schedule=training.schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params={
            **RANGE_PARAMS,
            "poll_seconds": Param(
                60, type="number", exclusiveMinimum=0, description="Seconds between two polls of the job"
            ),
        },
        tags=tags(pipeline, "train"),
        doc_md=__doc__,
    ):

        @task
        @one_line_errors
        def snapshot() -> str:
            """Freeze the partitions and write the training channels; return the fingerprint."""
            from sluice.dataset.snapshot import make_snapshot
            from sluice.errors import NotEnoughData

            context = get_current_context()
            params = context["params"]
            try:
                return make_snapshot(open_workspace(pipeline.name), params["from"], params["to"]).fingerprint
            except NotEnoughData as error:
                # The schedule starts before there is data: only a training that was triggered by hand fails then.
                if context["dag_run"].run_type == "scheduled":
                    raise AirflowSkipException(str(error)) from None
                raise

        @task(multiple_outputs=True)
        @one_line_errors
        def launch(fingerprint: str) -> dict[str, str]:
            """Start the job, adopt it or reuse it."""
            from sluice.training.jobs import launch_training

            launched = launch_training(open_workspace(pipeline.name), fingerprint)
            return {"job_name": launched.job_name, "action": launched.action}

        @task
        @one_line_errors
        def gate(job_name: str, fingerprint: str) -> float:
            """Fail unless the model's metric on the validation rows reaches the declared gate."""
            from sluice.evaluation.judge import check_gate
            from sluice.training.jobs import completed_job

            workspace = open_workspace(pipeline.name)
            return check_gate(workspace, completed_job(workspace, job_name), fingerprint).value(training.gate.metric)

        # The last task fails unless all tasks before it succeeded. If it were skipped, the run would be green.
        last = TriggerRule.NONE_FAILED

        @task(trigger_rule=TriggerRule.ALL_SUCCESS if deployment else last)
        @one_line_errors
        def announce(job_name: str, fingerprint: str) -> bool:
            """Publish that the training is complete."""
            from sluice.training.announce import announce_training
            from sluice_airflow.runs import require_upstream_done

            context = get_current_context()
            require_upstream_done(context)
            return announce_training(open_workspace(pipeline.name), job_name, fingerprint, context["run_id"])

        fingerprint = snapshot()
        launched: Any = launch(fingerprint)
        wait_for_training = TrainingJobSensor(
            task_id="wait_for_training",
            pipeline=pipeline.name,
            job_name=launched["job_name"],
            max_runtime=training.max_runtime,
            poll_seconds="{{ params.poll_seconds }}",
        )
        gated = gate(launched["job_name"], fingerprint)
        announced = announce(launched["job_name"], fingerprint)
        launched >> wait_for_training >> gated >> announced
        if deployment is not None:
            announced >> DeployEndpointOperator(
                task_id="deploy",
                pipeline=pipeline.name,
                job_name=launched["job_name"],
                snapshot=fingerprint,
                poll_seconds="{{ [params.poll_seconds, 15] | min }}",
                trigger_rule=last,
            )


build_dags(train)
