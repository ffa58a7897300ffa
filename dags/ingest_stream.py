"""
### Stream to lake

Reads the pipeline's Kinesis stream into raw time partitions, closes the partitions that are complete, and announces
each on the completion topic. Runs all the time, one run after another; waiting holds no worker.

| | |
|---|---|
| **in** | the stream of the pipeline's source; its records hold an event id and an event time |
| **out** | `PIPELINE/raw/SOURCE/dt=…/` parts and manifests; one SNS event for each partition that is complete |
| **order** | `conform` restores it; a shard that was split or merged is read to its end before its children |
| **re-run** | safe at any point. A checkpoint moves only behind what lies in a recorded part |

**Params.** `max_records`, `max_bytes`, `max_seconds`: where the read of one shard ends; each takes a slot of the pool
`sluice_ingest`. `wait_seconds`: how long to wait for records before closing what is due anyway.

**If it fails.** `wait`, `shards`: the stream can't be reached or isn't there; after three failed runs in a row, of a
quarter of an hour each, Airflow pauses this DAG, so unpause it then. `read`: S3 or Kinesis refused; nothing is
lost, the next run goes on from the checkpoint. `close`, `announce`: clear the task. A warning in the log of `shards` or
`read` tells what the stream trimmed before it was read: have it sent again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Stream
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import clear_errors
from sluice_airflow.metrics import flush_metrics, report_stream
from sluice_airflow.operators import AnnounceLandedOperator
from sluice_airflow.policy import CONTINUOUS, CONTINUOUS_WAIT, DEFAULT_ARGS, INGEST_POOL, tags
from sluice_airflow.sensors import StreamBacklogSensor

PARAMS = {
    "max_records": Param(
        100_000, type="integer", minimum=1, description="Records that one shard's read lands, at most"
    ),
    "max_bytes": Param(2**29, type="integer", minimum=1, description="Bytes that one shard's read lands, at most"),
    "max_seconds": Param(600, type="integer", minimum=1, description="Seconds that one shard is read, at most"),
    "wait_seconds": Param(300, type="integer", minimum=0, description="Seconds to wait for records"),
}


def ingest_stream(pipeline: Pipeline, source: Stream) -> None:
    """The ingest DAG of one stream of a pipeline."""
    with DAG(
        dag_id=f"{pipeline.name}_ingest_stream",
        description=f"Kinesis stream {source.name} → raw partitions → completion events",
        schedule="@continuous",
        **CONTINUOUS,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=tags(pipeline, "ingest"),
        doc_md=__doc__,
    ):
        wait = StreamBacklogSensor(
            task_id="wait",
            pipeline=pipeline.name,
            source=source.name,
            poll_seconds=5,
            max_wait_seconds="{{ params.wait_seconds }}",
            **CONTINUOUS_WAIT,
        )

        @task
        @clear_errors
        def shards() -> list[str]:
            """The shards that may be read now; what is gone unread is told."""
            from sluice.sources.stream.progress import shards_to_read

            workspace = open_workspace(pipeline.name)
            stream = workspace.resources.stream(source.name)
            return shards_to_read(workspace.aws.client("kinesis"), stream, workspace.lake, source)

        @task(pool=INGEST_POOL, map_index_template="{{ task.op_kwargs['shard'] }}")
        @clear_errors
        def read(shard: str) -> dict[str, Any]:
            """Read, write, record, move the checkpoint, until nothing comes, the shard ends or a limit is reached."""
            from sluice.landing.stopping import stopping
            from sluice.sources.stream.read import Window, read_window

            params, workspace = get_current_context()["params"], open_workspace(pipeline.name)
            kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source.name)
            window = Window(params["max_records"], params["max_bytes"], params["max_seconds"])
            with stopping() as stop:
                done = read_window(
                    kinesis,
                    stream,
                    shard,
                    workspace.lake,
                    source,
                    pipeline.every,
                    window,
                    on_flush=flush_metrics(pipeline.name, source.name),
                    stop=stop,
                )
            return {"records": done.records, "parts": done.parts, "ended": done.checkpoint.ended}

        @task(execution_timeout=timedelta(minutes=15))
        @clear_errors
        def close() -> str:
            """Close what the watermark has passed; hand on what was not announced yet."""
            from sluice.sources.stream.progress import close_stream

            workspace = open_workspace(pipeline.name)
            stream = workspace.resources.stream(source.name)
            report_stream(workspace, source)
            return close_stream(workspace.aws.client("kinesis"), stream, workspace.lake, source)

        closed, listed = close(), shards()
        announce = AnnounceLandedOperator(
            task_id="announce", pipeline=pipeline.name, source=source.name, partitions=closed
        )
        wait >> listed
        read.expand(shard=listed) >> closed >> announce


def ingest_streams(pipeline: Pipeline) -> None:
    """The ingest DAG of each stream of a pipeline."""
    for source in pipeline.streams:
        ingest_stream(pipeline, source)


build_dags(ingest_streams)
