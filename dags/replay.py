"""
### A past time range, landed again

Lands what the raw partitions lack of a past time range. It reads the stream, which keeps its records for a while, or
raw itself. A replay of what is there changes nothing. Runs when it is triggered.

| | |
|---|---|
| **in** | the stream, by time of arrival; or `PIPELINE/raw/SOURCE/dt=…/`, by partition |
| **out** | parts of the same raw partitions; one SNS event, marked late, for each complete partition that has changed |
| **order** | is not needed here: `conform` restores it from group and sequence number |
| **re-run** | safe at any point: what is there is not landed again, and checkpoints don't move |

Replay from the stream to restore what was deleted. Replay from raw to move records whose event time could not
be read when they landed, once the declaration is corrected. Their first copies stay quarantined.

**Params.** `source`: the queue or stream. `from`, `to`: the range, both included, as ISO moments, UTC unless they have
an offset. `origin`: `stream`, for what arrived in that time; or `raw`, for the partitions of that time.

**If it fails.** `units`: the stream has trimmed a part of the range, and nothing was read. The message names the moment
from which the stream has everything. `land`: S3 or Kinesis refused a call: clear the task. If it takes more than an
hour, replay a shorter range.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from sluice.declaration.pipeline import Pipeline
from sluice.pool import INGEST_POOL
from sluice_airflow.connection import open_workspace
from sluice_airflow.declared import build_dags
from sluice_airflow.errors import one_line_errors
from sluice_airflow.operators import AnnounceLandedOperator
from sluice_airflow.policy import DEFAULT_ARGS, START, documentation, tags


def replay(pipeline: Pipeline) -> None:
    """Make the replay DAG of a pipeline, if it has a queue or a stream."""
    if not pipeline.event_sources:
        return
    names = [source.name for source in pipeline.event_sources]
    origins = [*sorted({source.kind for source in pipeline.event_sources if source.keeps_arrivals}), "raw"]
    with DAG(
        dag_id=f"{pipeline.name}_replay",
        description="A past time range of a source → the same raw partitions → completion events",
        schedule=None,
        start_date=START,
        max_active_runs=1,
        catchup=False,
        default_args=DEFAULT_ARGS,
        params={
            "source": Param(names[0], type="string", enum=names, description="The queue or stream to replay"),
            "from": Param(None, type=["null", "string"], description="First moment, such as 2013-01-01T07:30:00 (UTC)"),
            "to": Param(None, type=["null", "string"], description="Last moment, included"),
            "origin": Param(origins[0], type="string", enum=origins, description="Where the records are taken from"),
        },
        tags=tags(pipeline, "replay"),
        doc_md=documentation(__doc__, pipeline),
    ):

        @task
        @one_line_errors
        def units() -> list[str]:
            """Return what can be replayed in parallel: shards, or ranges of raw partitions."""
            from sluice.sources.replay import ReplayRequest, plan

            request = ReplayRequest.from_params(pipeline, get_current_context()["params"])
            return plan(open_workspace(pipeline.name), request)

        @task(pool=INGEST_POOL, map_index_template="{{ task.op_kwargs['unit'] }}")
        @one_line_errors
        def land(unit: str) -> dict[str, int]:
            """Land what the raw partitions lack of one unit."""
            from dataclasses import asdict

            from sluice.sources.replay import ReplayRequest
            from sluice.sources.replay import replay as replay_unit

            request = ReplayRequest.from_params(pipeline, get_current_context()["params"])
            return asdict(replay_unit(open_workspace(pipeline.name), request, unit))

        @task(execution_timeout=timedelta(minutes=15))
        @one_line_errors
        def close() -> str:
            """Close what the watermark has passed; return what is to be announced."""
            from sluice.sources.connecting import events_source
            from sluice.sources.ingest import close_partitions

            source = events_source(pipeline, get_current_context()["params"]["source"])
            return close_partitions(open_workspace(pipeline.name), source)

        closed = close()
        announce = AnnounceLandedOperator(
            task_id="announce", pipeline=pipeline.name, source="{{ params.source }}", closed=closed
        )
        land.expand(unit=units()) >> closed >> announce


build_dags(replay)
