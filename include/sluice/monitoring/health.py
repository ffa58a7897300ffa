"""Whether an endpoint serves what was proven, how it answers, and how long events wait in the sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sluice.aws.metrics import Metric, highest
from sluice.serving.endpoint import Endpoint, find_endpoint
from sluice.serving.recipe import VARIANT
from sluice.sources.connecting import connect_events
from sluice.workspace import Workspace

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Health:
    """The health of an endpoint.

    ``live`` is the endpoint; None if it does not exist. ``errors`` is how often it has answered with a status of 5XX,
    and ``latency`` is the 99th percentile of the model's latency, each in the worst minute of the last day; None if
    nothing was reported.
    """

    live: Endpoint | None
    errors: float | None
    latency: timedelta | None


def endpoint_health(workspace: Workspace) -> Health:
    """Return the health of the pipeline's endpoint, by one call to SageMaker and one to CloudWatch.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
    """
    endpoint, until = workspace.pipeline.require_deployment().endpoint, workspace.lake.now()
    dimensions = {"EndpointName": endpoint, "VariantName": VARIANT}
    metrics = [
        Metric("AWS/SageMaker", name, dimensions, statistic)
        for name, statistic in (("Invocation5XXErrors", "Sum"), ("ModelLatency", "p99"))
    ]
    errors, microseconds = highest(workspace.aws, metrics, until - _DAY, until)
    latency = None if microseconds is None else timedelta(microseconds=microseconds)
    return Health(find_endpoint(workspace, endpoint), errors, latency)


def oldest_events(workspace: Workspace) -> Mapping[str, timedelta]:
    """Return the age of the oldest event that waits, by source. A source that can't tell, or is empty, is left out.

    Args:
        workspace: The workspace of any pipeline.
    """
    found = {each.name: connect_events(workspace, each).oldest() for each in workspace.pipeline.event_sources}
    return {name: age for name, age in found.items() if age is not None}
