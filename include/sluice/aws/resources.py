"""Finds what the template made for a pipeline, by the parameters that it leaves in Parameter Store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.errors import MissingResource

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True)
class Resources:
    """What one pipeline has at AWS. Queues, dead-letter queues and streams are keyed by source name.

    ``queues``, ``dead_letter_queues`` and ``completions_queue`` are URLs, ``streams`` are names,
    ``topic_arn`` and ``role_arn`` are ARNs, and ``bucket`` is a name.
    """

    pipeline: str
    bucket: str
    topic_arn: str
    role_arn: str
    queues: Mapping[str, str]
    dead_letter_queues: Mapping[str, str]
    streams: Mapping[str, str]
    completions_queue: str

    def queue(self, source: str) -> str:
        """The URL of the source's queue. Raises MissingResource if the template makes none of that name."""
        return self._made_for(source, "queue", self.queues)

    def stream(self, source: str) -> str:
        """The name of the source's stream. Raises MissingResource if the template makes none for it."""
        return self._made_for(source, "stream", self.streams)

    def _made_for(self, source: str, kind: str, made: Mapping[str, str]) -> str:
        if source not in made:
            raise MissingResource(
                f"pipeline {self.pipeline}: no {kind} for the source {source!r}, only for "
                f"{', '.join(sorted(made)) or 'none'}; name the source so, or add the {kind} to "
                f"include/cloud/pipeline.yaml and run `sluice provision {self.pipeline}`"
            )
        return made[source]


def find(ssm: SSMClient, pipeline: str) -> Resources:
    """Reads ``/sluice/<pipeline>/…``.

    Raises:
        MissingResource: the pipeline isn't provisioned, or by a template older than this code.
    """
    root = f"/sluice/{pipeline}"
    found = _parameters(ssm, root)
    missing = [name for name in ("bucket", "topic", "role", "completions-queue") if name not in found]
    if missing:
        raise MissingResource(
            f"pipeline {pipeline}: no parameter {root}/{missing[0]} in Parameter Store; "
            f"run `sluice provision {pipeline}`"
        )
    return Resources(
        pipeline=pipeline,
        bucket=found["bucket"],
        topic_arn=found["topic"],
        role_arn=found["role"],
        queues=_below(found, "queues/"),
        dead_letter_queues=_below(found, "dead-letter-queues/"),
        streams=_below(found, "streams/"),
        completions_queue=found["completions-queue"],
    )


def _parameters(ssm: SSMClient, root: str) -> dict[str, str]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=root, Recursive=True)
    return {
        parameter["Name"].removeprefix(f"{root}/"): parameter["Value"]
        for page in pages
        for parameter in page["Parameters"]
    }


def _below(found: Mapping[str, str], prefix: str) -> Mapping[str, str]:
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
