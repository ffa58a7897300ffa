"""The probes of the sensors. A probe reads AWS once: :class:`Waiting` means not yet, anything else ends the wait."""

from __future__ import annotations

from dataclasses import dataclass

from sluice_airflow.connection import open_workspace

# The most partitions that one dispatch starts.
_MOST_DUE = 16


@dataclass(frozen=True)
class Waiting:
    """Nothing was found yet. ``what`` completes the sentence "waiting for …"."""

    what: str


def backlog(pipeline: str, source: str) -> int | Waiting:
    """The number of messages or records that wait in a source of events. Nothing is received."""
    from sluice.sources.contract import connect_events, events_source

    workspace = open_workspace(pipeline)
    connector = connect_events(workspace, events_source(workspace.pipeline, source))
    return connector.backlog() or Waiting(connector.awaited)


def complete_partitions(pipeline: str, partitions: list[str]) -> bool | Waiting:
    """True once every source is complete for all partitions; ``partitions`` are ranges."""
    from sluice.lake.partitions import parse_ranges
    from sluice.sources.completeness import describe, incomplete

    workspace = open_workspace(pipeline)
    requested = [partition for ranges in partitions for partition in parse_ranges(ranges)]
    missing = incomplete(workspace, requested)
    return Waiting(describe(workspace.pipeline, missing)) if missing else True


def due_partitions(pipeline: str) -> list[str] | Waiting:
    """The keys of the next partitions that the transform has to run for."""
    from sluice.sources.completeness import describe
    from sluice.sources.due import due_partitions as due

    workspace = open_workspace(pipeline)
    found = due(workspace, _MOST_DUE)
    if found.ready:
        return [partition.key for partition in found.ready]
    return Waiting(describe(workspace.pipeline, found.waiting) or f"new data of {pipeline}")


def ended_training_job(pipeline: str, job_name: str) -> str | Waiting:
    """The status with which the job ended."""
    from sluice.training.jobs import find_job

    job = find_job(open_workspace(pipeline).aws.client("sagemaker"), job_name)
    if job is None:
        return Waiting(f"training job {job_name}, which SageMaker does not know")
    return job.status if job.ended else Waiting(f"training job {job_name}, which is {job.secondary_status}")


def settled_endpoint(pipeline: str) -> str | Waiting:
    """The status of the pipeline's endpoint once no change is under way; ``Deleted`` where there is none."""
    from sluice.serving.endpoint import find_endpoint

    workspace = open_workspace(pipeline)
    endpoint = find_endpoint(workspace.aws.client("sagemaker"), workspace.pipeline.require_deployment().endpoint)
    if endpoint is None:
        return "Deleted"
    return endpoint.status if endpoint.settled else Waiting(f"endpoint {endpoint.name}, which is {endpoint.status}")
