"""What all DAGs have in common: retries, time-outs, tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow.sdk import Param

from sluice.declaration.pipeline import Pipeline

Stage = Literal["dispatch", "ingest", "redrive", "replay", "transform", "train"]

# A transient failure is retried; what only a change can repair fails at once (see errors.py).
DEFAULT_ARGS: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(hours=1),
}

# Where a run's date lies before its DAG's start or after its end, Airflow makes no task and calls the run a success. So
# no DAG has an end, and all have a start before any date that a run may be given.
START = datetime(1970, 1, 1, tzinfo=UTC)

# A DAG that runs all the time must not fail all the time. Its source may be gone for good, such as a queue that was
# deleted. So its first task backs off for a quarter of an hour, and after three such runs Airflow pauses the DAG.
CONTINUOUS_WAIT: dict[str, Any] = {"retries": 5, "retry_delay": timedelta(seconds=30)}
CONTINUOUS: dict[str, Any] = {
    "start_date": START,
    "max_active_runs": 1,
    "catchup": False,
    "max_consecutive_failed_dag_runs": 3,
}


def tags(pipeline: Pipeline, stage: Stage) -> list[str]:
    return ["sluice", pipeline.name, stage]


def _moment(description: str) -> Param:
    return Param(None, description, type=["null", "string"], pattern=r"^\d{4}-\d{2}-\d{2}(T\d{2})?$")


RANGE_PARAMS = {
    "from": _moment("First partition, such as 2013-01-01 or 2013-01-01T07 (UTC)"),
    "to": _moment("Last partition, included"),
}
