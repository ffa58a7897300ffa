"""
### Source to lake

Lands the events of one source of the pipeline in raw time partitions, closes the partitions that are complete, and
announces each on the completion topic. Runs all the time, one run after another, due a minute apart at least. Waiting
holds no worker.

| | |
|---|---|
| **in** | the queue or stream; its messages hold an event id and an event time |
| **out** | `PIPELINE/raw/SOURCE/dt=…/` parts and manifests; one SNS event for each partition that is complete |
| **order** | is not needed here: `conform` restores it from group and sequence number |
| **re-run** | safe at any point. Nothing is acknowledged before it is in a recorded part |

A queue is drained in parallel lanes, and a message is deleted only once it has landed. A stream is read shard by shard.
Its checkpoint moves once the records have landed. A shard that was split or merged is read to its end before its
children.

A partition closes on evidence that everything sent before its end and the lateness has landed. The counters of a queue
lag, so `settled` waits until they have been zero for `settling_seconds`, or until more waits.

**Params.** `lanes`: the most drains of a queue that run in parallel; a stream has one for each shard. Each takes a slot
of the pool `sluice_ingest`. `max_messages`, `max_bytes`, `max_seconds`: the limits of one drain. `wait_seconds`: how
long to wait for messages; then the partitions whose time has passed are closed, even if none came. `settling_seconds`:
how long the counters of a queue have to be zero before partitions close: two minutes suit SQS.

**When it is stopped.** On SIGTERM a drain finishes its flush, acknowledges what has landed, and returns the rest.

**If it fails.** What can pass by itself is tried again for a quarter of an hour. After three failed runs in a row
Airflow pauses this DAG: repair the cause, then unpause it. `wait`, `units`: the source can't be reached or does not
exist. `drain`: S3 or the source refused a call. Nothing is lost: what was not deleted from a queue is received again
after its visibility time-out, and a stream continues at its checkpoint. `close`, `announce`: clear the task. A warning
in the log of `units` or `drain` names what a stream trimmed before it was read: have it sent again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import SETTLING, EventSource
from sluice.pool import INGEST_POOL
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.metrics import flush_metrics, report_source
from sluice_airflow.operators import AnnounceLandedOperator
from sluice_airflow.policy import CONTINUOUS, documentation, tags
from sluice_airflow.sensors import BacklogSensor, SettledSensor

PARAMS = {
    "lanes": Param(10, type="integer", minimum=1, maximum=20, description="Most drains of a queue in parallel"),
    "max_messages": Param(100_000, type="integer", minimum=1, description="Most messages that one drain lands"),
    "max_bytes": Param(
        1_000_000_000, type="integer", minimum=1, description="Most bytes of bodies that one drain lands"
    ),
    "max_seconds": Param(600, type="integer", minimum=1, description="Most seconds that one drain runs"),
    "wait_seconds": Param(300, type="integer", minimum=0, description="Seconds to wait for messages"),
    "settling_seconds": Param(SETTLING.seconds, type="integer", minimum=0, description="Seconds of empty counters"),
}


def ingest(pipeline: Pipeline, source: EventSource) -> None:
    """Make the ingest DAG of one source of a pipeline.

    Args:
        pipeline: The pipeline that declares the source.
        source: A queue or a stream.
    """
    with DAG(
        dag_id=pipeline.ingest_name(source),
        description=f"{source.kind} {source.name} → raw partitions → completion events",
        schedule=timedelta(minutes=1),
        **CONTINUOUS,
        params=PARAMS,
        tags=tags(pipeline, "ingest"),
        doc_md=documentation(__doc__, pipeline, source),
    ):
        wait = BacklogSensor(
            task_id="wait",
            pipeline=pipeline.name,
            source=source.name,
            poll_seconds=5,
            max_wait_seconds="{{ params.wait_seconds }}",
        )

        @task
        @one_line_errors
        def units() -> list[str]:
            """Return what can be drained in parallel: as many lanes as the backlog needs, or the shards."""
            from sluice.sources.connecting import connect_events

            workspace = open_workspace(pipeline.name)
            report_source(workspace, source)
            return connect_events(workspace, source).units(get_current_context()["params"]["lanes"])

        @task(pool=INGEST_POOL, map_index_template="{{ task.op_kwargs['unit'] }}")
        @one_line_errors
        def drain(unit: str) -> dict[str, int]:
            """Receive, write, record and acknowledge until nothing arrives or a limit is reached."""
            from sluice.landing.parts import Limits
            from sluice.landing.stopping import stopping
            from sluice.sources.connecting import connect_events

            params, workspace = get_current_context()["params"], open_workspace(pipeline.name)
            limits = Limits(params["max_messages"], params["max_bytes"], params["max_seconds"])
            with stopping() as stop:
                on_flush = flush_metrics(pipeline.name, source.name)
                landed = connect_events(workspace, source).drain(unit, limits, on_flush, stop)
            return {"messages": landed.messages, "parts": landed.parts, "flushes": landed.flushes}

        settled = SettledSensor(
            task_id="settled",
            pipeline=pipeline.name,
            source=source.name,
            settling_seconds="{{ params.settling_seconds }}",
            poll_seconds=5,
            max_wait_seconds="{{ params.settling_seconds + 60 }}",
        )

        @task(execution_timeout=timedelta(minutes=15))
        @one_line_errors
        def close() -> str:
            """Close what the watermark has passed; return what is to be announced."""
            from sluice.sources.ingest import close_partitions

            workspace = open_workspace(pipeline.name)
            report_source(workspace, source)
            settling = timedelta(seconds=get_current_context()["params"]["settling_seconds"])
            return close_partitions(workspace, source, settling)

        listed, closed = units(), close()
        announce = AnnounceLandedOperator(task_id="announce", pipeline=pipeline.name, source=source.name, closed=closed)
        wait >> listed
        drain.expand(unit=listed) >> settled >> closed >> announce


def ingests(pipeline: Pipeline) -> None:
    """Make the ingest DAG of each source of events of a pipeline."""
    for source in pipeline.event_sources:
        ingest(pipeline, source)


build_dags(ingests)
