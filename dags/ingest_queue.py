"""
### Queue to lake

Drains an SQS queue of the pipeline into raw time partitions, closes the partitions that are complete, and announces
each on the completion topic. Runs all the time, one run after another; waiting holds no worker.

| | |
|---|---|
| **in** | the queue of the pipeline's source; its messages hold an event id and an event time |
| **out** | `PIPELINE/raw/SOURCE/dt=…/` parts and manifests; one SNS event for each partition that is complete |
| **order** | is not needed here: `conform` restores it from group and sequence number |
| **re-run** | safe at any point. A message is deleted from the queue only once it lies in a recorded part |

**Params.** `lanes`: at most so many drains side by side, each takes a slot of the pool `sluice_ingest`.
`max_messages`, `max_bytes`, `max_seconds`: where one lane's drain ends. `wait_seconds`: how long to wait for messages
before closing what is due anyway.

**When it is stopped.** A lane that gets SIGTERM finishes its flush, deletes what has landed, and gives back the rest.

**If it fails.** `wait`: the queue can't be reached or isn't there; after three failed runs in a row, of a quarter of an
hour each, Airflow pauses this DAG, so unpause it then. `drain`: S3 or SQS refused; nothing is lost, what
was not deleted comes again once its visibility time-out (5 minutes) has passed. `close`, `announce`: clear the task.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Queue
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import clear_errors
from sluice_airflow.metrics import flush_metrics, report_queue
from sluice_airflow.operators import AnnounceLandedOperator
from sluice_airflow.policy import CONTINUOUS, CONTINUOUS_WAIT, DEFAULT_ARGS, INGEST_POOL, tags
from sluice_airflow.sensors import SqsBacklogSensor

PARAMS = {
    "lanes": Param(10, type="integer", minimum=1, maximum=20, description="Drains side by side, at most"),
    "max_messages": Param(100_000, type="integer", minimum=1, description="Messages that one lane lands, at most"),
    "max_bytes": Param(1_000_000_000, type="integer", minimum=1, description="Bytes of bodies that one lane lands"),
    "max_seconds": Param(600, type="integer", minimum=1, description="Seconds that one lane drains, at most"),
    "wait_seconds": Param(300, type="integer", minimum=0, description="Seconds to wait for messages"),
}


def ingest_queue(pipeline: Pipeline, source: Queue) -> None:
    """The ingest DAG of one queue of a pipeline; its name tells the queue, except of the first."""
    suffix = "" if source == pipeline.queues[0] else f"_{source.name}"
    with DAG(
        dag_id=f"{pipeline.name}_ingest_queue{suffix}",
        description=f"SQS queue {source.name} → raw partitions → completion events",
        schedule="@continuous",
        **CONTINUOUS,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=tags(pipeline, "ingest"),
        doc_md=__doc__,
    ):
        wait = SqsBacklogSensor(
            task_id="wait",
            pipeline=pipeline.name,
            source=source.name,
            poll_seconds=5,
            max_wait_seconds="{{ params.wait_seconds }}",
            **CONTINUOUS_WAIT,
        )

        @task
        @clear_errors
        def lanes(backlog: int | None) -> list[int]:
            """As many lanes as the backlog is worth, one at least."""
            from sluice.sources.queue.drain import lanes_for

            report_queue(open_workspace(pipeline.name), source)
            return list(range(lanes_for(backlog or 0, get_current_context()["params"]["lanes"])))

        @task(pool=INGEST_POOL, map_index_template="lane {{ task.op_kwargs['lane'] }}")
        @clear_errors
        def drain(lane: int) -> dict[str, int]:
            """Receive, write, record, delete, until the queue is dry or a limit is reached."""
            from sluice.landing.stopping import stopping
            from sluice.sources.queue.drain import Limits
            from sluice.sources.queue.drain import drain as drain_queue

            params, workspace = get_current_context()["params"], open_workspace(pipeline.name)
            with stopping() as stop:
                drained = drain_queue(
                    workspace.aws.client("sqs"),
                    workspace.resources.queue(source.name),
                    workspace.lake,
                    source,
                    pipeline.every,
                    Limits(params["max_messages"], params["max_bytes"], params["max_seconds"]),
                    on_flush=flush_metrics(pipeline.name, source.name),
                    stop=stop,
                )
            return {"messages": drained.messages, "parts": drained.parts, "flushes": drained.flushes}

        @task(execution_timeout=timedelta(minutes=15))
        @clear_errors
        def close() -> str:
            """Close what the watermark has passed; hand on what was not announced yet."""
            from sluice.landing.closing import close_source
            from sluice.sources.queue.drain import backlog

            workspace = open_workspace(pipeline.name)
            report_queue(workspace, source)
            waiting = backlog(workspace.aws.client("sqs"), workspace.resources.queue(source.name))
            return close_source(workspace.lake, source, drained_empty=waiting == 0)

        closed = close()
        announce = AnnounceLandedOperator(
            task_id="announce", pipeline=pipeline.name, source=source.name, partitions=closed
        )
        wait >> drain.expand(lane=lanes(wait.output)) >> closed >> announce


def ingest_queues(pipeline: Pipeline) -> None:
    """The ingest DAG of each queue of a pipeline."""
    for source in pipeline.queues:
        ingest_queue(pipeline, source)


build_dags(ingest_queues)
