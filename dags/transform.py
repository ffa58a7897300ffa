"""
### Raw partitions to features

One run is one time partition. It runs the pipeline's steps in their order, each of which persists its output, and
announces the last one on the completion topic. The dispatch DAG starts the run once a step can run, and again when a
source has changed. The run has the partition's name, such as `dt=2013-01-15`.

| | |
|---|---|
| **in** | closed raw partitions of the queues, complete drops; earlier and later ones where a step looks there |
| **out** | `PIPELINE/STEP/dt=…/` for each step, `PIPELINE/{quarantine,ids}/conform/dt=…/`; an SNS event each |
| **order** | steps one after another, each where it is declared; partitions in parallel, or with a state in turn |
| **re-run** | safe: a step whose inputs and code are unchanged does nothing; what looks back or ahead follows |

A partition that has the first copy of an event makes the run write those again that have another copy: an id counts
once. Where a step looks back, a run also writes later partitions again. Where one looks ahead, it also makes earlier
ones that were held back until now, or writes them again. Where one has a state, the run goes on with later partitions
until a state comes out as it was; one task makes all of them. Then `announce` waits, without a worker, until no other
run is at work that may replace what it announces: ten minutes at most. It does not wait for a run that has failed or is
queued.

A drop that is missing holds back the steps that read it, also those of later partitions that look back on it. All
others run. The log of the step names the drop. Once it has landed, the dispatch clears the run, and what was held back
follows. A step that looks ahead is held back until the later partitions are complete, and their runs make it. One that
has a state is held back until its partition before is made, by whose run it is made as well.

**Params.** `from`, `to`: a range of partitions, both included, in one run, which then needs no logical date. Without
them the run transforms the partition that contains its logical date. So `airflow dags test flights_transform
2013-01-15`, `airflow backfill create` and clearing a run all mean the partition. `wait_seconds`: how long to wait for
sources that are not complete, before the run goes on without them; it keeps one of the DAG's run slots meanwhile.

**If it fails.** `wait`: no step can run, because a source is not complete; the message names it with the reason. There
is nothing to do: the partition is transformed once it is complete. A step: its function or the data is at fault; the
message names the partition. If it ran on Lambda or Fargate, the message has the end of its log; one that needed more
memory or time moves up once where `Auto` is declared. Bad events never fail a step: they are quarantined and counted.
`announce`: in a run that a person has started, steps were held back, and the message names what they wait for; in a run
of the dispatch, and if they wait only for later partitions, the task is skipped instead. Or a task before it failed,
was skipped or was marked by hand, so partitions of the run are not transformed; clear that task.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, task

from sluice.declaration.pipeline import Pipeline
from sluice_airflow.announcing import AnnounceTransformedOperator
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import DEFAULT_ARGS, RANGE_PARAMS, START, documentation, tags, transformed
from sluice_airflow.sensors import S3PartitionSensor
from sluice_airflow.steps import StepOperator
from sluice_airflow.timetable import PartitionTimetable


def transform(pipeline: Pipeline) -> None:
    """Make the transform DAG of a pipeline."""
    with DAG(
        dag_id=f"{pipeline.name}_transform",
        description=f"Closed partitions → {' → '.join(step.name for step in pipeline.steps)} → completion events",
        schedule=PartitionTimetable(pipeline.every, pipeline.zone),
        start_date=START,
        catchup=False,
        max_active_runs=4,
        default_args=DEFAULT_ARGS,
        params={
            **RANGE_PARAMS,
            "wait_seconds": Param(0, type="integer", minimum=0, description="Seconds to wait for incomplete sources"),
        },
        tags=tags(pipeline, "transform"),
        doc_md=documentation(__doc__, pipeline),
    ):
        wait = S3PartitionSensor(
            task_id="wait", pipeline=pipeline.name, poll_seconds=30, max_wait_seconds="{{ params.wait_seconds }}"
        )
        partitions = wait.output

        @task(map_index_template="{{ task.op_kwargs['partitions'] }}")
        @one_line_errors
        def land_drops(partitions: str) -> int:
            """Copy dropped objects, unchanged, into raw partitions."""
            from sluice.sources.ingest import land_partitions

            return land_partitions(open_workspace(pipeline.name), partitions)

        before: Any = wait
        if pipeline.sources != pipeline.event_sources:  # events land in ingest DAGs
            before = land_drops.expand(partitions=partitions)
        runs: list[Any] = []
        for step in pipeline.steps:
            named = {"task_id": step.name, "pipeline": pipeline.name, "step": step.name}
            if pipeline.carries_state(step):  # a partition needs the state before it, so one task makes all in order
                ran: Any = StepOperator(**named, partitions=partitions)
                runs.append([ran.output])
            else:
                ran = StepOperator.partial(**named, map_index_template="{{ task.partitions }}").expand(
                    partitions=partitions
                )
                runs.append(ran.output)
            before >> ran
            before = ran
        # It always runs: a run in which tasks were skipped or marked by hand must not be green.
        AnnounceTransformedOperator(
            task_id="announce",
            pipeline=pipeline.name,
            runs=runs,
            poll_seconds=5,
            max_wait_seconds=600,
            trigger_rule=TriggerRule.ALL_DONE,
            outlets=[transformed(pipeline)] if pipeline.scoring else [],
            execution_timeout=timedelta(minutes=15),
        )


build_dags(transform)
