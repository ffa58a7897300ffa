"""
### What no deployment needs any more

Finds superseded endpoint configurations, models, artefacts, scores and snapshots, and jobs that nobody waits for. On
request it deletes them, and stops the jobs. Runs when it is triggered: a deletion is a decision of somebody.

| | |
|---|---|
| **in** | what SageMaker lists; `PIPELINE/snapshots/`, `models/`, `evaluations/`, `deployments/`, `endpoints/` |
| **out** | less of it; deployment records and verdicts stay |
| **order** | configurations, models, artefacts, scores, snapshots: what remains never names what is gone |
| **re-run** | safe at any point: what remains is found again |

What is live or becomes live stays, and what a kept deployment, a running one, the newest verdict or a running job
names. So do the newest snapshot, and what others have made.

**Params.** `dry_run`: show only, which is the default. `keep`: how many of the newest deployments can be restored by
`<pipeline>_rollback`; the newest always can. `days`: for how many days everything stays.

**If it fails.** Nothing is deleted if what is live can't be looked at. The message names what refused; clear the task.
A bucket with versions can restore what was deleted from it for 30 days.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import DEFAULT_ARGS, START, tags

PARAMS = {
    "dry_run": Param(True, type="boolean", description="Show only what may go"),
    "keep": Param(3, type="integer", minimum=0, description="How many of the newest deployments can be restored"),
    "days": Param(30, type="integer", minimum=0, description="For how many days everything stays"),
}


def housekeeping(pipeline: Pipeline) -> None:
    """Make the housekeeping DAG of a pipeline, if it declares a training."""
    if pipeline.training is None:
        return
    with DAG(
        dag_id=f"{pipeline.name}_housekeeping",
        description="Superseded models, configurations and snapshots → gone",
        schedule=None,
        start_date=START,
        max_active_runs=1,
        catchup=False,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=tags(pipeline, "housekeeping"),
        doc_md=__doc__,
    ):

        @task
        @one_line_errors
        def survey() -> dict[str, int]:
            """Count what may go, by kind; the log has a line for each."""
            from sluice.housekeeping.policy import Keep
            from sluice.housekeeping.survey import survey

            params = get_current_context()["params"]
            return dict(survey(open_workspace(pipeline.name), Keep(params["keep"], params["days"])).counts)

        # A `survey` that was skipped by hand must not make the run green with nothing removed.
        @task(trigger_rule=TriggerRule.NONE_FAILED)
        @one_line_errors
        def remove() -> dict[str, int]:
            """Remove it unless this is a dry run; return how many were removed, by kind."""
            from sluice.housekeeping.policy import Keep
            from sluice.housekeeping.removal import remove
            from sluice.housekeeping.survey import survey

            params, workspace = get_current_context()["params"], open_workspace(pipeline.name)
            if params["dry_run"]:
                raise AirflowSkipException("a dry run removes nothing: trigger it with dry_run off")
            return dict(remove(workspace, survey(workspace, Keep(params["keep"], params["days"]))))

        survey() >> remove()


build_dags(housekeeping)
