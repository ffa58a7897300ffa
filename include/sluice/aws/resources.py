"""Finds the resources of a pipeline, by the parameters that its stack has in Parameter Store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sluice.aws.clients import Aws
from sluice.errors import MissingResource


@dataclass(frozen=True)
class Resources:
    """The resources of one pipeline at AWS.

    Attributes:
        pipeline: The name of the pipeline.
        bucket: The name of the bucket.
        topic_arn: The ARN of the completion topic.
        role_arn: The ARN of SageMaker's role; None if the pipeline declares no training.
        completions_queue: The URL of the queue that subscribes to the topic.
        machine_arn: The ARN of the machine of Step Functions that trains; None if Airflow does.
        of_sources: The resources of sources, by ``<kind>/<source name>``: ``queues/events`` is the URL of a queue,
            ``streams/clicks`` the name of a stream, ``consumers/clicks`` the ARN of its consumer.
    """

    pipeline: str
    bucket: str
    topic_arn: str
    role_arn: str | None
    completions_queue: str
    of_sources: Mapping[str, str]
    machine_arn: str | None = None

    def require_role(self) -> str:
        """Return the ARN of the role that SageMaker trains and serves with.

        Raises:
            MissingResource: the stack has no role.
        """
        if self.role_arn is None:
            raise MissingResource(
                f"pipeline {self.pipeline}: no parameter {_root(self.pipeline)}/role in Parameter Store, so it was "
                f"provisioned before it declared a training; run `sluice provision {self.pipeline}`"
            )
        return self.role_arn

    def require_machine(self) -> str:
        """Return the ARN of the machine that trains.

        Raises:
            MissingResource: the stack has no machine.
        """
        if self.machine_arn is None:
            raise MissingResource(
                f"pipeline {self.pipeline}: no parameter {_root(self.pipeline)}/machine in Parameter Store, so it was "
                f"provisioned before it declared StepFunctions; run `sluice provision {self.pipeline}`"
            )
        return self.machine_arn

    def made_for(self, what: str, source: str) -> str:
        """Return a resource of a source.

        Args:
            what: The kind of the resource, such as ``queues``, ``dead-letter-queues``, ``streams`` or ``consumers``.
            source: The name of the source.

        Returns:
            The URL of a queue, the name of a stream, or the ARN of a consumer.

        Raises:
            MissingResource: the stack has no such resource.
        """
        found = self.found_for(what, source)
        if found is None:
            made = sorted(each.removeprefix(f"{what}/") for each in self.of_sources if each.startswith(f"{what}/"))
            raise MissingResource(
                f"pipeline {self.pipeline}: there are no {what} for the source {source!r}, only for "
                f"{', '.join(made) or 'none'}; run `sluice provision {self.pipeline}`"
            )
        return found

    def found_for(self, what: str, source: str) -> str | None:
        """Return a resource of a source; None if the stack has no such resource.

        Args:
            what: The kind of the resource, as for :meth:`made_for`.
            source: The name of the source.
        """
        return self.of_sources.get(f"{what}/{source}")


def find(aws: Aws, pipeline: str) -> Resources:
    """Read the parameters ``/sluice/<pipeline>/…`` of Parameter Store.

    Args:
        aws: The clients of the pipeline's account and region.
        pipeline: The name of the pipeline.

    Raises:
        MissingResource: the pipeline isn't provisioned, or its stack is older than this code.
    """
    root = _root(pipeline)
    found = _parameters(aws, root)
    missing = [name for name in ("bucket", "topic", "completions-queue") if name not in found]
    if missing:
        raise MissingResource(
            f"pipeline {pipeline}: no parameter {root}/{missing[0]} in Parameter Store; "
            f"run `sluice provision {pipeline}`"
        )
    return Resources(
        pipeline=pipeline,
        bucket=found.pop("bucket"),
        topic_arn=found.pop("topic"),
        role_arn=found.pop("role", None),
        completions_queue=found.pop("completions-queue"),
        machine_arn=found.pop("machine", None),
        of_sources=found,
    )


def _root(pipeline: str) -> str:
    return f"/sluice/{pipeline}"


def _parameters(aws: Aws, root: str) -> dict[str, str]:
    pages = aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=root, Recursive=True)
    return {
        parameter["Name"].removeprefix(f"{root}/"): parameter["Value"]
        for page in pages
        for parameter in page["Parameters"]
    }
