"""
### Features to a live model, by Step Functions

Starts the machine of Step Functions that trains, judges and deploys, and waits for it without a worker. The machine
makes the same calls as the training DAG whose tasks Airflow runs itself, and leaves the same records; each adopts what
the other has begun. EventBridge may start it as well, without Airflow.

| | |
|---|---|
| **in** | closed partitions of the step that the declaration trains on; the model that is live |
| **out** | in `PIPELINE/`: `snapshots/…`, `models/…`, `evaluations/…`, `deployments/…`; the endpoint; one SNS event |
| **order** | snapshot → launch → wait → score → wait → judge → announce → deploy, as states of the machine |
| **re-run** | safe: a job's name is the digest of its request; a running execution is adopted, an ended one repeated |

**Params.** `from`, `to`: train on these partitions only, both included. `poll_seconds`: between two looks at the
execution; between two looks at a job the machine waits as long as is declared.

**Report.** `PIPELINE/evaluations/reports/<n>.html`; linked at the tab *Details* of `report`.

**If it fails.** `train`: the message has the reason of the state that failed, as in the graph of the execution in Step
Functions. Correct the cause and clear the task: a new execution goes on with what is there. What was live stays.
Clearing or marking the waiting task stops the execution and its jobs.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.declared import build_dags
from sluice_airflow.machines import TrainingMachineOperator
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, START, documentation, poll_param, tags
from sluice_airflow.reports import ReportOperator

# What the machine does beside its jobs and the approval: starts, scoring, judging, the change of the endpoint.
_AROUND_THE_JOBS = timedelta(hours=12)


def train_on_step_functions(pipeline: Pipeline) -> None:
    """Make the training DAG of a pipeline whose training Step Functions runs."""
    training = pipeline.training
    if training is None or training.orchestrator is None:
        return
    with DAG(
        dag_id=f"{pipeline.name}_train",
        description=f"Snapshot of {training.rows} → Step Functions → SageMaker",
        schedule=training.schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params={**RANGE_PARAMS, "poll_seconds": poll_param(60, "the execution")},
        tags=tags(pipeline, "train"),
        doc_md=documentation(__doc__, pipeline),
    ):
        state = TrainingMachineOperator(
            task_id="train",
            pipeline=pipeline.name,
            longest=2 * training.longest_job + (pipeline.approval or timedelta(0)) + _AROUND_THE_JOBS,
            poll_seconds="{{ params.poll_seconds }}",
        )
        ReportOperator(task_id="report", pipeline=pipeline.name, verdict=state.output["verdict"])


build_dags(train_on_step_functions)
