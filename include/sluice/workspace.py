"""Everything that work on one pipeline needs: its declaration, what the template made for it, its lake, clients."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources, find
from sluice.declaration.loading import load_pipeline
from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake


@dataclass(frozen=True)
class Workspace:
    """One pipeline in one account and region."""

    pipeline: Pipeline
    resources: Resources
    lake: Lake
    aws: Aws

    @classmethod
    def open(cls, aws: Aws, name: str) -> Workspace:
        """Look the pipeline up, in its folder and in Parameter Store.

        Raises:
            DeclarationError: there is no such pipeline.
            MissingResource: it is not provisioned.
        """
        pipeline = load_pipeline(name)
        resources = find(aws.client("ssm"), name)
        return cls(pipeline, resources, Lake(aws.client("s3"), resources.bucket, name), aws)
