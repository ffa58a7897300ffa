"""What the sensors look at. A look is one read of AWS: None means not yet, anything else ends the wait."""

from __future__ import annotations

from sluice_airflow.connection import open_workspace


def backlog(pipeline: str, source: str) -> int | None:
    """How many messages the source's queue holds; None while it is empty. Nothing is received."""
    from sluice.landing.queue import backlog as queue_backlog

    workspace = open_workspace(pipeline)
    return queue_backlog(workspace.aws.client("sqs"), workspace.resources.queue(source)) or None


def stream_backlog(pipeline: str, source: str) -> int | None:
    """In how many shards of the source's stream something waits; None while it is read to its tip."""
    from sluice.landing.stream_progress import stream_backlog as backlog_of

    workspace = open_workspace(pipeline)
    (declared,) = [each for each in workspace.pipeline.streams if each.name == source]
    kinesis, stream = workspace.aws.client("kinesis"), workspace.resources.stream(source)
    return backlog_of(kinesis, stream, workspace.lake, declared) or None


def complete_partitions(pipeline: str, partitions: list[str]) -> bool | None:
    """True once every source is complete for all partitions; ``partitions`` are ranges."""
    from sluice.landing.completeness import incomplete
    from sluice.partitions import parse_ranges

    workspace = open_workspace(pipeline)
    asked = [partition for ranges in partitions for partition in parse_ranges(ranges)]
    return None if incomplete(workspace.lake, workspace.pipeline, asked) else True


def ended_training_job(pipeline: str, job_name: str) -> str | None:
    """The status with which the job ended."""
    from sluice.training.jobs import find_job

    job = find_job(open_workspace(pipeline).aws.client("sagemaker"), job_name)
    return job.status if job is not None and job.ended else None


def settled_endpoint(pipeline: str) -> str | None:
    """The status of the pipeline's endpoint once no change is under way; ``Deleted`` where there is none."""
    from sluice.serving.endpoint import find_endpoint

    workspace = open_workspace(pipeline)
    endpoint = find_endpoint(workspace.aws.client("sagemaker"), workspace.pipeline.deployment.endpoint)
    if endpoint is None:
        return "Deleted"
    return endpoint.status if endpoint.settled else None
