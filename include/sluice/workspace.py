"""Everything that work on one pipeline needs: its declaration, what the template made for it, its lake, clients."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.aws import Aws
from sluice.lake import Lake
from sluice.pipeline import Pipeline, load_pipeline
from sluice.resources import Resources, find


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
