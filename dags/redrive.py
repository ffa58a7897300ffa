"""
### Quarantine and dead letters back to their source

Shows what the `conform` steps have quarantined and what is in the dead-letter queues, by source and reason. On request
it sends the events back to their source. Runs when it is triggered.

| | |
|---|---|
| **in** | `PIPELINE/quarantine/STEP/dt=…/`, the sources' dead-letter queues |
| **out** | the sources' queues and streams; a ledger, `PIPELINE/redriven/SOURCE/…`, of what was sent |
| **order** | by group and sequence number; a group ends at the first of its events that can't be sent |
| **re-run** | safe at any point: what the ledger records as sent is not sent again |

A contract that was corrected needs no redrive: raw has kept everything, so run the transform over those partitions
again. What is sent back lands after what its group has sent since. It is quarantined again if it is still bad.

**Params.** `dry_run`: show only, which is the default. `source`: one queue or stream; all of them if empty. `where`:
`quarantine`, `dead_letters` or `both`. `reason`, `from`, `to`, `ids`: choose among quarantined events, so they need
`where: quarantine`. Conflicts, and what landed outside the pipeline's start and end (reason `outside start and end`),
are sent only if `reason` names theirs, because unchanged they end in the same place. `limit`: the most messages of each
source and place to send. `unknown`: also send what a redrive that was stopped may have sent already; `conform` counts a
doubled event once.

**If it fails.** The log has a line for each source and place. If some were not sent, repair what the message names,
then clear the task. If some may have been sent, check whether they landed, or run it with `unknown`.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, START, documentation, tags

PARAMS = {
    "dry_run": Param(True, type="boolean", description="Show only what can be sent back"),
    "source": Param(None, type=["null", "string"], description="One queue or stream; all of them if empty"),
    "where": Param(
        "both", type="string", enum=["quarantine", "dead_letters", "both"], description="Where to take them from"
    ),
    "reason": Param(None, type=["null", "string"], description="Only events quarantined for this reason"),
    **RANGE_PARAMS,
    "ids": Param([], type="array", items={"type": "string"}, description="Only quarantined events of these ids"),
    "limit": Param(1000, type="integer", minimum=1, description="Most messages of each source and place"),
    "unknown": Param(False, type="boolean", description="Also send what a stopped redrive may have sent"),
}


def redrive(pipeline: Pipeline) -> None:
    """Make the redrive DAG of a pipeline, if it has a queue or a stream."""
    if not pipeline.event_sources:
        return
    with DAG(
        dag_id=f"{pipeline.name}_redrive",
        description="Quarantine and dead-letter queues → the sources they came from",
        schedule=None,
        start_date=START,
        max_active_runs=1,
        catchup=False,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=tags(pipeline, "redrive"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def show() -> dict[str, int]:
            """Count what is held back, by source and place; the log has the reasons."""
            from sluice.redrive.held import Choice, counts, survey_all

            params = get_current_context()["params"]
            choice = Choice.from_params(params)
            return counts(survey_all(open_workspace(pipeline.name), params["source"], choice))

        # A `show` that was skipped by hand must not make the run green with nothing sent.
        @task(trigger_rule=TriggerRule.NONE_FAILED)
        @one_line_errors
        def send_back() -> dict[str, int]:
            """Send the events back unless this is a dry run; return how many were sent, by source and place."""
            from sluice.redrive.held import Choice
            from sluice.redrive.sending import require_complete, send_back_all, sent

            params, workspace = get_current_context()["params"], open_workspace(pipeline.name)
            if params["dry_run"]:
                raise AirflowSkipException("a dry run sends nothing: trigger it with dry_run off")
            results = send_back_all(workspace, params["source"], Choice.from_params(params))
            require_complete(results)
            return sent(results)

        show() >> send_back()


build_dags(redrive)
