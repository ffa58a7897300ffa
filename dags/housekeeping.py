"""
### What nothing needs any more

Finds superseded endpoint configurations, models, artefacts, scores and snapshots, and jobs that nobody waits for. Of
the datasets it finds superseded revisions and states, orphaned parts, superseded quarantine and markers. On request it
deletes all this, and stops the jobs. Runs when it is triggered: a deletion is a decision of somebody.

| | |
|---|---|
| **in** | what SageMaker lists; datasets, `snapshots/`, `models/`, `evaluations/`, `deployments/`, `endpoints/` |
| **out** | less of it; deployment records, verdicts and manifests stay |
| **order** | configurations, models, artefacts, scores, snapshots, datasets: what remains never names what is gone |
| **re-run** | safe at any point: what remains is found again |

What is live or becomes live stays, and what a kept deployment, a running one, the newest verdict or a running job
names. So do the newest snapshot, what a manifest or a snapshot names, and what others have made.

**Params.** `dry_run`: show only, which is the default. `keep`: how many of the newest deployments can be restored by
`<pipeline>_rollback`; the newest always can. `days`: for how many days everything stays. `quarantine_days`: for how
many days a partition keeps what it has quarantined; without it for good. The raw dataset has those events as well.

**If it fails.** Nothing is deleted if what is live or a snapshot can't be looked at. The message names what refused;
clear the task. A bucket with versions can restore what was deleted from it for 30 days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import DEFAULT_ARGS, START, documentation, tags

if TYPE_CHECKING:
    from sluice.housekeeping.policy import Keep

PARAMS = {
    "dry_run": Param(True, type="boolean", description="Show only what may go"),
    "keep": Param(3, type="integer", minimum=0, description="How many of the newest deployments can be restored"),
    "days": Param(30, type="integer", minimum=0, description="For how many days everything stays"),
    "quarantine_days": Param(
        None, type=["null", "integer"], minimum=0, description="For how many days quarantined events stay"
    ),
}


def policy() -> Keep:
    """Return the policy that the params of the run say."""
    from sluice.housekeeping.policy import Keep

    params = get_current_context()["params"]
    return Keep(params["keep"], params["days"], params["quarantine_days"])


def housekeeping(pipeline: Pipeline) -> None:
    """Make the housekeeping DAG of a pipeline."""
    with DAG(
        dag_id=f"{pipeline.name}_housekeeping",
        description="Superseded models, snapshots and revisions → gone",
        schedule=None,
        start_date=START,
        max_active_runs=1,
        catchup=False,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=tags(pipeline, "housekeeping"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def survey() -> dict[str, int]:
            """Count what may go, by kind; the log has a line for each."""
            from sluice.housekeeping.survey import survey

            return dict(survey(open_workspace(pipeline.name), policy()).counts)

        # A `survey` that was skipped by hand must not make the run green with nothing removed.
        @task(trigger_rule=TriggerRule.NONE_FAILED)
        @one_line_errors
        def remove() -> dict[str, int]:
            """Remove it unless this is a dry run; return how many were removed, by kind."""
            from sluice.housekeeping.removal import remove
            from sluice.housekeeping.survey import survey

            if get_current_context()["params"]["dry_run"]:
                raise AirflowSkipException("a dry run removes nothing: trigger it with dry_run off")
            workspace = open_workspace(pipeline.name)
            return dict(remove(workspace, survey(workspace, policy())))

        survey() >> remove()


build_dags(housekeeping)
