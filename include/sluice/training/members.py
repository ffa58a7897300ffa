"""Members that several requests to SageMaker have: the network, and the tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.declaration.pipeline import Pipeline


def vpc_config(pipeline: Pipeline) -> Mapping[str, Any]:
    """Return the member of a request that puts a job or a model into the declared network; empty without one."""
    if pipeline.network is None:
        return {}
    network = pipeline.network
    return {
        "VpcConfig": {"SecurityGroupIds": list(network.security_groups), "Subnets": list(network.subnets)},
    }


def declared_tags(pipeline: Pipeline) -> list[Mapping[str, str]]:
    """Return the declared tags in SageMaker's form, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(pipeline.tags.items())]


def pipeline_tags(pipeline: Pipeline) -> list[Any]:
    """Return Sluice's own tag, then the declared ones, in SageMaker's form."""
    return [{"Key": "sluice:pipeline", "Value": pipeline.name}, *declared_tags(pipeline)]
