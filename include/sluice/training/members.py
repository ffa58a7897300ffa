"""Members that several requests to SageMaker have: the network, its isolation, and the tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sluice.declaration.pipeline import Pipeline

# API reference, Tag.
_NO_TAG, _LONGEST_TAG = re.compile(r"[^\w .:/=+@-]"), 256


def network_members(pipeline: Pipeline) -> Mapping[str, Any]:
    """Return the members of a request that put a job or a model into the declared network, and isolate it."""
    network = pipeline.network
    return {
        **({"EnableNetworkIsolation": True} if pipeline.isolated else {}),
        **(
            {"VpcConfig": {"SecurityGroupIds": list(network.security_groups), "Subnets": list(network.subnets)}}
            if network
            else {}
        ),
    }


def declared_tags(pipeline: Pipeline) -> list[Mapping[str, str]]:
    """Return the declared tags in SageMaker's form, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(pipeline.tags.items())]


def run_tags(run_id: str | None) -> list[Mapping[str, str]]:
    """Return the tag that names the run which creates a job; none without a run.

    Args:
        run_id: The id of the run. Characters that a tag can't have become ``-``, and 256 of them are kept.
    """
    return [] if run_id is None else [{"Key": "sluice:run", "Value": _NO_TAG.sub("-", run_id)[:_LONGEST_TAG]}]


def pipeline_tags(pipeline: Pipeline) -> list[Any]:
    """Return Sluice's own tag, then the declared ones, in SageMaker's form."""
    return [{"Key": "sluice:pipeline", "Value": pipeline.name}, *declared_tags(pipeline)]
