"""
### Back to an earlier model

Makes live what an earlier deployment had made live: at the endpoint, or without one where it scores in batch. Runs when
it is triggered.

| | |
|---|---|
| **in** | `PIPELINE/deployments/<n>.json`, which has the requests that create the model and its configuration again |
| **out** | the endpoint; a deployment record with the next number |
| **order** | `roll_back` is the final task; at an endpoint it is proven by the answers for the rows of its verdict |
| **re-run** | safe: what is live already is only proven again |

**Params.** `to`: the number of the deployment; empty: the last one with another configuration than the newest.
`sluice deployments PIPELINE` lists them. `poll_seconds`: between two looks at the endpoint, if there is one.

**If it fails.** `choose`: there is no such deployment. `roll_back`: the endpoint did not serve the earlier model, and
what served before the roll-back is live again; the message has the reason.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.operators import RollBackEndpointOperator
from sluice_airflow.policy import DEFAULT_ARGS, START, documentation, poll_param, tags
from sluice_airflow.runs import require_upstream_done


def rollback(pipeline: Pipeline) -> None:
    """Make the roll-back DAG of a pipeline, if its model goes live."""
    deployment = pipeline.deployment
    if deployment is None and pipeline.scoring is None:
        return
    with DAG(
        dag_id=f"{pipeline.name}_rollback",
        description=f"An earlier model → {f'endpoint {deployment.endpoint}' if deployment else 'batch scoring'}",
        schedule=None,
        start_date=START,
        max_active_runs=1,
        catchup=False,
        default_args=DEFAULT_ARGS,
        params={
            "to": Param(None, type=["null", "integer"], minimum=1, description="The number of the deployment"),
            "poll_seconds": poll_param(15, "the endpoint"),
        },
        tags=tags(pipeline, "rollback"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def choose() -> int:
            """Return the number of the deployment to go back to. A retry of the next task must not choose again."""
            from sluice.serving.targets import deployment_to_restore

            return deployment_to_restore(open_workspace(pipeline.name), get_current_context()["params"]["to"])

        last = TriggerRule.NONE_FAILED  # after a task that was skipped by hand, the last one fails

        @task(trigger_rule=last)
        @one_line_errors
        def roll_back(number: int) -> int:
            """Make the model of an earlier deployment score in batch again; return the number of the new record."""
            from sluice.serving.promotion import restore

            require_upstream_done(get_current_context())
            return restore(open_workspace(pipeline.name), number)

        chosen: Any = choose()
        if deployment is None:
            roll_back(chosen)
        else:
            RollBackEndpointOperator(
                task_id="roll_back",
                pipeline=pipeline.name,
                deployment=chosen,
                poll_seconds="{{ params.poll_seconds }}",
                trigger_rule=last,
            )


build_dags(rollback)
