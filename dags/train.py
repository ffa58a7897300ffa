"""
### Features to a live model

Freezes the transformed partitions as a snapshot, trains the declared candidates side by side on SageMaker, polls the
jobs once a minute, judges all models on the same test rows, and makes the best one live: at the endpoint, or without
one where it scores in batch. A pipeline that declares neither ends once the verdict is made.

| | |
|---|---|
| **in** | closed partitions of the step that the declaration trains on; the model that is live |
| **out** | in `PIPELINE/`: `snapshots/…`, `models/…`, `evaluations/…`, `deployments/…`; the endpoint; one SNS event |
| **order** | candidates side by side; `deploy` is the final task, or `promote` where there is no endpoint |
| **re-run** | safe: a job's name is the digest of its request; a running job is adopted, a completed one reused |

**Params.** `from`, `to`: train on these partitions only, both included. `poll_seconds`: between two polls of a job.

**Verdict.** A model goes live if it passes the declared gate on the test rows, and is not worse than the live one by
more than the margin. If all are worse, the live one stays and the run succeeds. The figures and the reasons are in
`PIPELINE/evaluations/verdicts/<n>.json`.

**Report.** `PIPELINE/evaluations/reports/<n>.html`, if no model passes, too; linked at the tab *Details* of `report`.

**If it fails.** `snapshot`: too few partitions are transformed (a scheduled run is skipped then), or the account's
quota is too low for the declared instances. `wait_for_training`, `wait_for_scores`: the message has SageMaker's reason;
correct the cause and clear `launch` or `score`. `announce`: no model passes the gate; the report shows why. `approve`:
a person rejected the model, or did not answer in time. `deploy`: the endpoint did not serve the requested model, and
was rolled back. What was live stays in all these cases. A transient failure, such as throttling, is retried. Clearing
or marking a waiting task stops its job.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, TriggerRule, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.approval import ModelApprovalOperator
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.job_sensors import ScoringSensor, TrainingJobSensor
from sluice_airflow.operators import DeployEndpointOperator, PromoteModelOperator
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, START, documentation, poll_param, tags
from sluice_airflow.reports import ReportOperator
from sluice_airflow.runs import require_upstream_done, snapshot_of_run


def train(pipeline: Pipeline) -> None:
    """Make the training DAG of a pipeline, if it declares a training."""
    training, deployment = pipeline.training, pipeline.deployment
    if training is None or training.orchestrator is not None:
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
        params={**RANGE_PARAMS, "poll_seconds": poll_param(60, "a job")},
        tags=tags(pipeline, "train"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def snapshot() -> str:
            """Freeze the partitions and write the training channels; return the fingerprint."""
            return snapshot_of_run(pipeline.name, get_current_context())

        @task(map_index_template="{{ task.op_kwargs['candidate'] }}")
        @one_line_errors
        def launch(candidate: str, fingerprint: str) -> str:
            """Start the job of a candidate, adopt it or reuse it; return its name."""
            from sluice.training.launching import launch_training

            workspace, run_id = open_workspace(pipeline.name), get_current_context()["run_id"]
            return launch_training(workspace, training.candidate(candidate), fingerprint, run_id).job_name

        @task
        @one_line_errors
        def score(job_names: list[str], fingerprint: str) -> list[str]:
            """Start the jobs that score the test rows with each model and the live one; return their names."""
            from sluice.serving.judging import launch_scorings

            return launch_scorings(open_workspace(pipeline.name), list(job_names), fingerprint)

        # The last task fails unless all tasks before it succeeded. If it were skipped, the run would be green.
        last = TriggerRule.NONE_FAILED

        @task
        @one_line_errors
        def verdict(job_names: list[str], fingerprint: str) -> int:
            """Judge the models and record the verdict; return its number."""
            from sluice.serving.judging import make_verdict

            return make_verdict(open_workspace(pipeline.name), list(job_names), fingerprint)

        @task(trigger_rule=TriggerRule.ALL_SUCCESS if deployment or pipeline.scoring else last)
        @one_line_errors
        def announce(number: int) -> bool:
            """Publish that the training is complete; fail if no model may be live by the verdict."""
            from sluice.serving.judging import announce_winner

            context = get_current_context()
            require_upstream_done(context)
            return announce_winner(open_workspace(pipeline.name), number, context["run_id"])

        fingerprint = snapshot()
        launched: Any = launch.partial(fingerprint=fingerprint).expand(
            candidate=[candidate.name for candidate in training.candidates]
        )
        wait: dict[str, Any] = {
            "pipeline": pipeline.name,
            "max_runtime": training.longest_job,
            "poll_seconds": "{{ params.poll_seconds }}",
            "map_index_template": "{{ task.job_name }}",
        }
        trained = TrainingJobSensor.partial(task_id="wait_for_training", **wait).expand(job_name=launched)
        scorings: Any = score(launched, fingerprint)
        scored = ScoringSensor.partial(task_id="wait_for_scores", **wait).expand(job_name=scorings)
        number: Any = verdict(launched, fingerprint)
        # Before the first task that requires a winner: the report is needed most where no model passes.
        report = ReportOperator(task_id="report", pipeline=pipeline.name, verdict=number)
        announced = announce(report.output)
        trained >> scorings
        scored >> number
        if pipeline.approval is not None:
            announced = announced >> ModelApprovalOperator(
                task_id="approve", pipeline=pipeline.name, verdict=number, response_timeout=pipeline.approval
            )
        if deployment is not None:
            announced >> DeployEndpointOperator(
                task_id="deploy",
                pipeline=pipeline.name,
                verdict=report.output,
                poll_seconds="{{ [params.poll_seconds, 15] | min }}",
                trigger_rule=last,
            )
        elif pipeline.scoring is not None:
            announced >> PromoteModelOperator(
                task_id="promote", pipeline=pipeline.name, verdict=report.output, trigger_rule=last
            )


build_dags(train)
