"""What all DAGs share: retries, time-outs, tags, and the params of a range."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow.sdk import Asset, Param

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Source

Stage = Literal[
    "dispatch",
    "freshness",
    "housekeeping",
    "ingest",
    "monitor",
    "redrive",
    "replay",
    "rollback",
    "score",
    "train",
    "transform",
]

# A transient failure is retried; what only a change can repair fails at once (see errors.py). The waits are bounded
# because Airflow doubles them by the number of the try, and a run that is cleared for late data goes on counting.
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "sluice",
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(seconds=30),
    "execution_timeout": timedelta(hours=1),
}

# If a run's date is before the start of its DAG or after the end, Airflow makes no task and marks the run as a success.
# So no DAG has an end, and the start of each is before any date that a run may have.
START = datetime(1970, 1, 1, tzinfo=UTC)

# A DAG that runs all the time has a time as its schedule: the least between the moments at which two runs are due. A
# run that starts late does not move the next one. By Airflow's `@continuous` a source that gets an event now and then
# makes a run each ten seconds. And it must not fail all the time, for example after its queue was deleted. So each task
# backs off for a quarter of an hour, and after three such runs Airflow pauses the DAG.
CONTINUOUS: dict[str, Any] = {
    "start_date": START,
    "max_active_runs": 1,
    "catchup": False,
    "max_consecutive_failed_dag_runs": 3,
    "default_args": {**DEFAULT_ARGS, "retries": 7, "max_retry_delay": timedelta(minutes=5)},
}


def tags(pipeline: Pipeline, stage: Stage) -> list[str]:
    """Return the tags of a DAG, by which Airflow's web UI filters.

    Args:
        pipeline: The pipeline of the DAG.
        stage: The kind of the DAG.
    """
    return ["sluice", pipeline.name, stage]


def documentation(text: str | None, pipeline: Pipeline, source: Source | None = None) -> str:
    """Return the documentation of a DAG with the names of its pipeline in it, as the UI shows it.

    Args:
        text: The docstring of its file, with ``PIPELINE``, ``SOURCE``, ``STEP`` and ``SCORES`` in place of names.
        pipeline: The pipeline.
        source: The source, if the DAG is of one.
    """
    names = {
        "PIPELINE": [pipeline.name],
        "SOURCE": [each.name for each in ([source] if source else pipeline.event_sources)],
        "STEP": [step.name for step in pipeline.steps],
        "SCORES": [pipeline.scoring.name] if pipeline.scoring else [],
    }
    shown = {place: each[0] if len(each) == 1 else f"{{{','.join(each)}}}" for place, each in names.items()}
    named = re.sub(rf"\b({'|'.join(shown)})\b", lambda found: shown[found[0]], text or "")
    return named.replace("dt=…", f"{pipeline.calendar.windows.column}=…")


def transformed(pipeline: Pipeline) -> Asset:
    """Return the asset that a transform run updates, for what follows by itself.

    Args:
        pipeline: The pipeline of the run.
    """
    return Asset(f"{pipeline.name}_transformed")


def _moment(description: str) -> Param:
    return Param(None, description, type=["null", "string"], pattern="^[0-9]{4}-[0-9]{2}(-[0-9]{2}(T[0-9]{2})?)?$")


def poll_param(seconds: float, what: str) -> Param:
    """Return the param ``poll_seconds``.

    Args:
        seconds: The default.
        what: What is polled; for the description.
    """
    return Param(seconds, type="number", exclusiveMinimum=0, description=f"Seconds between two polls of {what}")


RANGE_PARAMS = {
    "from": _moment("First partition: a date such as 2013-01-01, an hour (2013-01-01T07, UTC) or a month (2013-01)"),
    "to": _moment("Last partition, included"),
}
