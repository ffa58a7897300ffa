"""A workspace: the declaration of a pipeline, its resources at AWS, its lake, and the clients to work on them."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources, find
from sluice.declaration.loading import load_pipeline
from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake


@dataclass(frozen=True)
class Workspace:
    """One pipeline in one account and region.

    ``resources`` are those that the pipeline's CloudFormation stack has made.
    """

    pipeline: Pipeline
    resources: Resources
    lake: Lake
    aws: Aws

    @classmethod
    def open(cls, aws: Aws, name: str) -> Workspace:
        """Find the pipeline's declaration in its folder, and its resources in Parameter Store.

        Args:
            aws: Makes the clients.
            name: The name of the pipeline.

        Raises:
            DeclarationError: there is no such pipeline.
            MissingResource: it is not provisioned.
        """
        pipeline = load_pipeline(name)
        resources = find(aws, name)
        lake = Lake(aws.client("s3"), resources.bucket, name, calendar=pipeline.calendar)
        return cls(pipeline, resources, lake, aws)
