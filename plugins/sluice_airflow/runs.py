"""The partitions and the snapshot of a run, what has to be done before its last task, and the runs to start."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from sluice.declaration.loading import load_pipeline
from sluice_airflow.policy import transformed

if TYPE_CHECKING:
    from sluice.declaration.pipeline import Pipeline
    from sluice.lake.partitions import Partition

# The most runs that wait for a slot. So a run that a user triggers waits behind no more than these.
_MOST_QUEUED = 5
# The states of a task that does nothing any more.
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


def partitions_of_run(pipeline: str, context: Context) -> list[Partition]:
    """Return the partitions of a run: those from its ``from`` to its ``to``, or else that of its logical date.

    Args:
        pipeline: The name of the pipeline.
        context: Airflow's context of a task of the run.

    Raises:
        SluiceError: the run has neither a range nor a logical date.
    """
    from sluice.lake.partitions import requested

    params = context["params"]
    return requested(load_pipeline(pipeline).calendar, context["dag_run"].logical_date, params["from"], params["to"])


def runs_at_work(pipeline: Pipeline, runs: Collection[str]) -> list[str]:
    """Return those of some transform runs that are running and have not ended the last step.

    A run that is queued or has failed is not at work, and neither is one that only has to announce.

    Args:
        pipeline: The pipeline of the runs.
        runs: The names of the runs. One that Airflow does not know is not at work.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if not runs:
        return []  # Airflow takes no names for the names of all runs
    dag_id, last = f"{pipeline.name}_transform", pipeline.steps[-1].name
    states = RuntimeTaskInstance.get_task_states(dag_id, task_ids=[last], run_ids=sorted(runs))
    unfinished = sorted(run for run, tasks in states.items() if not _ENDED.issuperset(tasks.values()))
    return [run for run in unfinished if RuntimeTaskInstance.get_dr_count(dag_id, run_ids=[run], states=["running"])]


def partitions_to_score(pipeline: str, context: Context) -> list[Partition]:
    """Return the partitions of a scoring run: those of the transform runs that have started it, or as for those.

    Args:
        pipeline: The name of the pipeline.
        context: Airflow's context of a task of the run.

    Raises:
        SluiceError: the run has neither a range nor a logical date, nor was it started by a transform run.
    """
    from sluice.lake.partitions import parse_ranges

    if context["dag_run"].run_type != "asset_triggered":
        return partitions_of_run(pipeline, context)
    declared = load_pipeline(pipeline)
    ranges = [event.extra.get("partitions", "") for event in context["triggering_asset_events"][transformed(declared)]]
    return sorted({each for some in ranges for each in parse_ranges(some, declared.calendar)})


def live_job(pipeline: str, context: Context) -> str:
    """Return the training job of the model that is live.

    Args:
        pipeline: The name of the pipeline.
        context: Airflow's context of a task of the run.

    Raises:
        AirflowSkipException: no model was ever made live, and a transform run has started this run.
        MissingResource: no model is live, or it is gone.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from sluice.serving.champion import newest_record, require_live
    from sluice_airflow.connection import open_workspace

    workspace = open_workspace(pipeline)
    if context["dag_run"].run_type == "asset_triggered" and newest_record(workspace) is None:
        raise AirflowSkipException(
            f"no model of {pipeline} is live yet; once one is, score these partitions by a range"
        )
    return require_live(workspace).job


def is_dags_test(context: Context) -> bool:
    """Return whether this is a run of ``airflow dags test``, which no scheduler manages."""
    return context["dag_run"].triggering_user_name == "dag_test"  # what DAG.test() of the Task SDK sets


def require_upstream_done(context: Context) -> None:
    """Require that all tasks before the last one succeeded: a run with a task that was skipped by hand must fail.

    Raises:
        AirflowSkipException: a scheduled run has skipped its first task, because there is nothing to do yet.
        SluiceError: tasks before this one have not succeeded.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from sluice.errors import SluiceError

    ti, upstream = context["ti"], context["task"].get_flat_relative_ids(upstream=True)
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=sorted(upstream), run_ids=[ti.run_id])[ti.run_id]
    undone = sorted(task for task in upstream if _states_of(task, states) != {"success"})
    if undone and context["dag_run"].run_type == "scheduled" and set(undone) == upstream:
        raise AirflowSkipException("the first task of this scheduled run was skipped, so there is nothing to do")
    if undone:
        raise SluiceError(f"{', '.join(undone)} did not succeed, so {ti.task_id} does nothing; clear {undone[0]}")


def _states_of(task: str, states: Mapping[str, str]) -> set[str]:
    """Return the states of a task. Airflow's names of mapped instances are the task's with ``_<index>`` at the end."""
    return {state for name, state in states.items() if re.fullmatch(rf"{re.escape(task)}(_\d+)?", name)}


def snapshot_of_run(pipeline: str, context: Context) -> str:
    """Freeze the partitions of a training run, and check the account's quotas; return the fingerprint of the snapshot.

    Args:
        pipeline: The name of the pipeline.
        context: Airflow's context of a task of the run.

    Raises:
        AirflowSkipException: a scheduled run has too little data: the schedule starts before there is any.
        NotEnoughData: a run that was triggered by hand has too little data.
        QuotaTooLow: the account may not use the declared instances.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from sluice.dataset.snapshot import make_snapshot
    from sluice.errors import NotEnoughData
    from sluice.serving.quotas import require_quotas
    from sluice_airflow.connection import open_workspace

    params, workspace = context["params"], open_workspace(pipeline)
    try:
        fingerprint = make_snapshot(workspace, params["from"], params["to"]).fingerprint
    except NotEnoughData as error:
        if context["dag_run"].run_type == "scheduled":
            raise AirflowSkipException(str(error)) from None
        raise
    require_quotas(workspace)
    return fingerprint


def runs_to_start(pipeline: Pipeline, due: Sequence[str], ti: Any) -> list[dict[str, Any]]:
    """Return the runs to trigger for partitions that are due, few at once.

    A run that is queued or running is not triggered again. Its partition remains due until the run has ended.

    Args:
        pipeline: The pipeline.
        due: The keys of the partitions.
        ti: The running task instance, which can count runs of other DAGs.

    Returns:
        Arguments of TriggerDagRunOperator for each run.
    """
    from sluice.lake.partitions import Partition

    dag_id = f"{pipeline.name}_transform"
    room = _MOST_QUEUED - ti.get_dr_count(dag_id=dag_id, states=["queued"])
    runs: list[dict[str, Any]] = []
    for key in due:
        if len(runs) >= room:
            break
        run = _run_of(Partition.parse(key, pipeline.calendar), dag_id, ti)
        if not ti.get_dr_count(dag_id=dag_id, run_ids=[run["trigger_run_id"]], states=["queued", "running"]):
            runs.append(run)
    return runs


def _run_of(partition: Partition, dag_id: str, ti: Any) -> dict[str, Any]:
    """Return the one run of a partition. If a dispatch or a backfill has made it already, a trigger clears it."""
    date = partition.start
    dated = {"logical_date": date.isoformat(), "run_after": date.isoformat()}
    for name in (partition.label, f"backfill__{date.isoformat()}"):
        if ti.get_dr_count(dag_id=dag_id, run_ids=[name]):
            return {"trigger_run_id": name, **dated}
    if ti.get_dr_count(dag_id=dag_id, logical_dates=[date]):
        # A user's run has the date under another name, and Airflow allows one run for each date.
        _, _, begins = partition.label.partition("=")
        return {"trigger_run_id": partition.label, "logical_date": None, "conf": {"from": begins}}
    return {"trigger_run_id": partition.label, **dated}
