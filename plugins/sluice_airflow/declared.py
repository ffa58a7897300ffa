"""Builds the DAGs of all declared pipelines. One that can't be loaded has no DAGs, and the others keep theirs (P17)."""

from __future__ import annotations

from collections.abc import Callable

from airflow.sdk import DAG

from sluice.declaration.loading import load_pipelines
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError
from sluice_airflow.policy import START


def build_dags(build: Callable[[Pipeline], None]) -> None:
    """Build the DAGs of every pipeline that can be used; :func:`refuse_broken_pipelines` names the others.

    Args:
        build: Makes the DAGs of one kind for a pipeline.
    """
    pipelines, _ = _usable()
    for pipeline in pipelines:
        build(pipeline)


def refuse_broken_pipelines() -> None:
    """Raise one error that names every pipeline that can't be used.

    Airflow has one import error for each file, and a file with an error has no DAGs. So only a file without a DAG calls
    this. Airflow's web UI shows its error.

    Raises:
        DeclarationError: one line for each such pipeline.
    """
    _, errors = _usable()
    if errors:
        raise DeclarationError("\n".join(str(error) for error in errors))


def _usable() -> tuple[list[Pipeline], list[DeclarationError]]:
    pipelines, broken = load_pipelines()
    usable: list[Pipeline] = []
    errors = list(broken)
    for pipeline in pipelines:
        try:
            _check_schedules(pipeline)
            usable.append(pipeline)
        except DeclarationError as error:
            errors.append(error)
    return usable, errors


def _check_schedules(pipeline: Pipeline) -> None:
    """Raise DeclarationError if Airflow refuses a declared schedule. Only Airflow knows which ones it accepts."""
    monitoring = pipeline.deployment.monitoring if pipeline.deployment else None
    for what, declared in (("training", pipeline.training), ("monitoring", monitoring)):
        if declared is not None:
            _check_schedule(pipeline, what, declared.schedule)


def _check_schedule(pipeline: Pipeline, what: str, schedule: str) -> None:
    try:
        DAG("schedule", schedule=schedule, start_date=START, catchup=False, max_active_runs=1).validate()
    except Exception as error:
        raise DeclarationError(
            f"pipeline {pipeline.name}: Airflow refuses the {what} schedule {schedule!r} ({error}); write it as "
            f"'@weekly' or a cron expression such as '0 6 * * 1'"
        ) from error
